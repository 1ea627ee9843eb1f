// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of users and groups, from the files. The command is linked statically, so the C library's way to ask
//! other directories (NSS) is not there; ids that the files do not know stay numbers.

use std::fs;

/// `/etc/passwd` and `/etc/group`.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: Entries,
    groups: Entries,
}

#[derive(Debug, Default)]
struct Entries(Vec<(u32, String)>);

impl Accounts {
    pub(crate) fn load() -> Self {
        // A file that cannot be read is one that names nobody.
        let read = |path| Entries::parse(&fs::read(path).unwrap_or_default());
        Self {
            users: read("/etc/passwd"),
            groups: read("/etc/group"),
        }
    }

    /// Nobody has a name.
    pub(crate) fn numeric() -> Self {
        Self::default()
    }

    pub(crate) fn user(&self, uid: u32) -> String {
        self.users
            .name(uid)
            .map_or_else(|| uid.to_string(), str::to_owned)
    }

    pub(crate) fn group(&self, gid: u32) -> String {
        self.groups
            .name(gid)
            .map_or_else(|| gid.to_string(), str::to_owned)
    }

    /// The name if there is one, and the number in parentheses behind it.
    pub(crate) fn user_with_id(&self, uid: u32) -> String {
        with_id(self.users.name(uid), uid)
    }

    pub(crate) fn group_with_id(&self, gid: u32) -> String {
        with_id(self.groups.name(gid), gid)
    }

    pub(crate) fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.name(uid)
    }

    pub(crate) fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.name(gid)
    }

    /// The user that somebody means: a name, or a number.
    pub(crate) fn find_user(&self, text: &str) -> Result<u32, String> {
        self.users
            .find(text)
            .ok_or_else(|| format!("no user {text:?} in /etc/passwd, and not a number"))
    }

    pub(crate) fn find_group(&self, text: &str) -> Result<u32, String> {
        self.groups
            .find(text)
            .ok_or_else(|| format!("no group {text:?} in /etc/group, and not a number"))
    }
}

fn with_id(name: Option<&str>, id: u32) -> String {
    match name {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    }
}

impl Entries {
    /// Lines of `name:password:id:…`, as in both files. What is none is left out.
    fn parse(file: &[u8]) -> Self {
        let entry = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let mut fields = line.split(':');
            let name = fields
                .next()
                .filter(|name| !name.is_empty() && !name.starts_with('#'))?;
            let id = fields.nth(1)?.parse().ok()?;
            Some((id, name.to_owned()))
        };
        Self(file.split(|byte| *byte == b'\n').filter_map(entry).collect())
    }

    fn name(&self, id: u32) -> Option<&str> {
        let of_id = |entry: &&(u32, String)| entry.0 == id;
        self.0.iter().find(of_id).map(|(_, name)| name.as_str())
    }

    fn find(&self, text: &str) -> Option<u32> {
        let of_name = |entry: &&(u32, String)| entry.1 == text;
        let number = || {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse().ok())
        };
        self.0
            .iter()
            .find(of_name)
            .map(|(id, _)| *id)
            .or_else(|| number().flatten())
    }
}

#[cfg(test)]
impl Accounts {
    pub(crate) fn of(passwd: &str, group: &str) -> Self {
        Self {
            users: Entries::parse(passwd.as_bytes()),
            groups: Entries::parse(group.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
        root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\
        broken\n\
        :x:5:5::/:\n\
        alice:x:1000:1000:Alice,,,:/home/alice:/bin/sh\n\
        alias:x:1000:1000::/:\n";

    #[test]
    fn the_first_name_of_an_id_is_shown() {
        let accounts = Accounts::of(PASSWD, "root:x:0:\nvideo:x:44:alice,bob\n");
        assert_eq!(accounts.user(0), "root");
        assert_eq!(accounts.user(1000), "alice");
        assert_eq!(accounts.user(5), "5");
        assert_eq!(accounts.group(44), "video");
        assert_eq!(accounts.group(1000), "1000");
        assert_eq!(accounts.user_with_id(1000), "alice (1000)");
        assert_eq!(accounts.group_with_id(7), "7");
        assert_eq!(Accounts::numeric().user(0), "0");
    }

    #[test]
    fn users_are_found_by_name_or_number() {
        let accounts = Accounts::of(PASSWD, "");
        assert_eq!(accounts.find_user("alias"), Ok(1000));
        assert_eq!(accounts.find_user("77"), Ok(77));
        for nobody in ["", "bob", "-1", "+1", "4294967296"] {
            assert!(accounts.find_user(nobody).is_err(), "{nobody}");
        }
        assert_eq!(
            accounts.find_group("x").unwrap_err(),
            "no group \"x\" in /etc/group, and not a number"
        );
    }
}
