//! The events of requests whose user blocks a thread for them: kept until that thread takes them, where
//! the events of all other requests are passed on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::requests::Tag;
use rootlock_sys::clock;
use rootlock_sys::sync::{self, Condvar, Mutex, MutexGuard};

pub(crate) struct Mailbox<Event> {
    /// The open boxes: few, because one thread blocks for one request, and only what it is called
    /// back for can block for another.
    boxes: Mutex<Vec<(Tag, VecDeque<Event>)>>,
    came: Condvar,
}

impl<Event> Mailbox<Event> {
    pub(crate) fn new() -> Self {
        Self { boxes: Mutex::new(Vec::new()), came: Condvar::new() }
    }

    fn boxes(&self) -> MutexGuard<'_, Vec<(Tag, VecDeque<Event>)>> {
        sync::lock(&self.boxes)
    }

    /// From now on the events of a request are kept.
    pub(crate) fn open(&self, tag: Tag) {
        self.boxes().push((tag, VecDeque::new()));
    }

    /// Events that come now are passed on again. Those that nobody has taken, in order.
    pub(crate) fn close(&self, tag: Tag) -> VecDeque<Event> {
        let mut boxes = self.boxes();
        let at = boxes.iter().position(|(open, _)| *open == tag);
        at.map(|at| boxes.swap_remove(at).1).unwrap_or_default()
    }

    /// The requests that a thread blocks for.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.boxes().iter().map(|(tag, _)| *tag).collect()
    }

    /// Keeps an event; the caller passes it on if it is returned.
    pub(crate) fn put(&self, tag: Tag, event: Event) -> Option<Event> {
        let mut boxes = self.boxes();
        let Some((_, events)) = boxes.iter_mut().find(|(open, _)| *open == tag) else {
            return Some(event);
        };
        events.push_back(event);
        self.came.notify_all();
        None
    }

    /// Blocks until a request has an event, and takes it; `None` when it has had none for that long, or
    /// has no open box.
    pub(crate) fn take(&self, tag: Tag, at_most: Option<Duration>) -> Option<Event> {
        let until = at_most.map(|at_most| clock::awake().saturating_add(at_most));
        let mut boxes = self.boxes();
        loop {
            let (_, events) = boxes.iter_mut().find(|(open, _)| *open == tag)?;
            if let Some(event) = events.pop_front() {
                return Some(event);
            }
            boxes = match until.map(|until| until.saturating_sub(clock::awake())) {
                None => sync::wait_for(&self.came, boxes),
                Some(left) if left.is_zero() => return None,
                Some(left) => sync::wait(&self.came, boxes, left),
            };
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn events_are_kept_in_order_for_open_boxes_only() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.put(1, 'a'), Some('a'), "nobody blocks for it");
        mailbox.open(1);
        mailbox.open(2);
        for (tag, event) in [(1, 'b'), (2, 'c'), (1, 'd'), (1, 'e')] {
            assert_eq!(mailbox.put(tag, event), None);
        }
        assert_eq!(mailbox.put(3, 'f'), Some('f'));
        assert_eq!(mailbox.tags(), [1, 2]);
        assert_eq!(mailbox.take(1, None), Some('b'));
        assert_eq!(mailbox.take(1, None), Some('d'));
        assert_eq!(mailbox.close(1), ['e'], "what nobody has taken is passed on");
        assert_eq!(mailbox.put(1, 'g'), Some('g'));
        assert_eq!(mailbox.take(2, None), Some('c'));
    }

    #[test]
    fn a_thread_blocks_until_its_own_event_comes() {
        let mailbox = Mailbox::new();
        mailbox.open(1);
        mailbox.open(2);
        thread::scope(|scope| {
            let first = scope.spawn(|| mailbox.take(1, None));
            let second = scope.spawn(|| mailbox.take(2, None));
            assert_eq!(mailbox.put(2, "second"), None);
            assert_eq!(second.join().expect("ends"), Some("second"));
            assert_eq!(mailbox.put(1, "first"), None);
            assert_eq!(first.join().expect("ends"), Some("first"));
        });
    }

    #[test]
    fn a_thread_that_blocks_for_so_long_at_most_comes_back_without_an_event() {
        let mailbox = Mailbox::<()>::new();
        mailbox.open(1);
        assert_eq!(mailbox.take(1, Some(Duration::ZERO)), None);
        assert_eq!(mailbox.take(1, Some(Duration::from_millis(1))), None);
        mailbox.put(1, ());
        assert_eq!(mailbox.take(1, Some(Duration::MAX)), Some(()));
    }

    #[test]
    fn nobody_blocks_for_a_closed_box() {
        let mailbox = Mailbox::<()>::new();
        assert_eq!(mailbox.take(1, None), None);
    }
}
