// SPDX-License-Identifier: GPL-2.0

//! The segments of a namespace, by number and by name.
//!
//! An index is used under a lock, under which nothing is allocated and no last reference dropped:
//! room for what comes is brought along, and what goes is handed out.

use crate::{
    missing::{
        errno::EIDRM,
        gfp::GFP_MAY_FAIL, //
    },
    name::Name,
    segment::Segment,
    target::Selector, //
};
use core::mem;
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::Arc, //
};

/// Segments, by number and by name.
pub(crate) struct Index {
    /// All of them, for as long as somebody may attach or a handle is attached.
    by_id: RBTree<u64, Arc<Segment>>,
    /// Those with a name that were not removed.
    by_name: RBTree<Name, Arc<Segment>>,
    /// The namespace has gone: there are those alone that handles are attached to.
    gone: bool,
}

/// A segment that is to come into an index, and the memory that this takes.
pub(crate) struct Entry {
    by_id: RBTreeNode<u64, Arc<Segment>>,
    by_name: Option<RBTreeNode<Name, Arc<Segment>>>,
}

impl Entry {
    /// Fails with `ENOMEM`.
    pub(crate) fn new(segment: &Arc<Segment>) -> Result<Self> {
        let by_name = segment
            .name()
            .map(|&name| RBTreeNode::new(name, segment.clone(), GFP_MAY_FAIL));
        Ok(Self {
            by_id: RBTreeNode::new(segment.id(), segment.clone(), GFP_MAY_FAIL)?,
            by_name: by_name.transpose()?,
        })
    }
}

/// References to segments that are not in the index any more.
pub(crate) struct Taken {
    _by_id: RBTree<u64, Arc<Segment>>,
    _by_name: RBTree<Name, Arc<Segment>>,
}

/// References to a segment that lost its name.
pub(crate) struct Retired {
    _by_id: Option<RBTreeNode<u64, Arc<Segment>>>,
    _by_name: Option<RBTreeNode<Name, Arc<Segment>>>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            by_id: RBTree::new(),
            by_name: RBTree::new(),
            gone: false,
        }
    }

    /// Adds a segment whose number, and whose name if it has one, no other segment has.
    pub(crate) fn add(&mut self, entry: Entry) {
        let _ = self.by_id.insert(entry.by_id);
        if let Some(node) = entry.by_name {
            let _ = self.by_name.insert(node);
        }
    }

    /// Fails with `ENXIO` if the namespace has gone.
    pub(crate) fn check_there(&self) -> Result {
        if self.gone {
            return Err(ENXIO);
        }
        Ok(())
    }

    /// The default segment, if it was made.
    pub(crate) fn default_segment(&self) -> Option<&Arc<Segment>> {
        self.by_id.get(&0)
    }

    pub(crate) fn named(&self, name: &Name) -> Option<&Arc<Segment>> {
        self.by_name.get(name)
    }

    /// Fails with `ENOENT`.
    pub(crate) fn find(&self, selector: &Selector) -> Result<&Arc<Segment>> {
        let found = match selector {
            Selector::Handle | Selector::Descriptor(_) => None,
            Selector::Id(id) => self.by_id.get(id),
            Selector::Name(name) => self.by_name.get(name),
        };
        found.ok_or(ENOENT)
    }

    /// One that is neither anonymous nor removed. Fails with `ENOENT` and `EIDRM`.
    pub(crate) fn find_for_all(&self, selector: &Selector) -> Result<&Arc<Segment>> {
        let segment = self.find(selector)?;
        if segment.is_removed() {
            return Err(EIDRM());
        }
        if segment.name().is_none() && !segment.is_default() {
            return Err(ENOENT);
        }
        Ok(segment)
    }

    /// Adds segments to `list`, as many as it has room for, of those whose number is `cursor` or
    /// more. Returns where to go on.
    pub(crate) fn list(&self, cursor: u64, list: &mut KVec<Arc<Segment>>) -> u64 {
        let mut next = cursor;
        while let Some(at) = self.by_id.cursor_lower_bound(&next) {
            let (&id, segment) = at.current();
            if list.push_within_capacity(segment.clone()).is_err() {
                break;
            }
            next = id.saturating_add(1);
        }
        next
    }

    /// Takes the name of a segment away, if that was not done before, and the segment if no handle
    /// is attached to it.
    pub(crate) fn retire(&mut self, segment: &Segment) -> Retired {
        let name = segment.name().filter(|_| !segment.is_removed());
        let by_name = name.and_then(|name| self.by_name.remove_node(name));
        segment.set_removed();
        let by_id = if segment.has_handles() {
            None
        } else {
            self.by_id.remove_node(&segment.id())
        };
        Retired {
            _by_id: by_id,
            _by_name: by_name,
        }
    }

    /// The namespace has gone, and with it all segments but those that handles are attached to.
    pub(crate) fn end(&mut self) -> Taken {
        self.gone = true;
        let by_name = mem::replace(&mut self.by_name, RBTree::new());
        let mut unused = RBTree::new();
        let mut next = 0;
        while let Some(at) = self.by_id.cursor_lower_bound(&next) {
            let (&id, segment) = at.current();
            next = id.saturating_add(1);
            segment.set_removed();
            if !segment.has_handles() {
                if let Some(node) = self.by_id.remove_node(&id) {
                    let _ = unused.insert(node);
                }
            }
        }
        Taken {
            _by_id: unused,
            _by_name: by_name,
        }
    }

    /// Whether the namespace has gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the namespace has gone and nobody uses a segment of it.
    pub(crate) fn is_over(&self) -> bool {
        self.gone && self.by_id.is_empty()
    }
}
