//! Shortest ways into a hole, as numbered lines: one for each turn, that is for what one of them
//! does until another one moves or time passes.

use std::fmt::Write as _;
use std::hash::Hash;

use stateright::{Checker, Model, Property};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// A client's.
    Client(usize),
    /// The server's.
    Server,
    /// Nobody's: time passes.
    Tick,
}

/// A model whose runs can be told.
pub trait Told:
    Model<State: Copy + Hash + PartialEq + Send + Sync, Action: Copy + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// How many clients there are.
    fn clients(&self) -> usize;

    /// Whose action it is, and in words what happens: nothing, for a tick. `{n}` stands for the
    /// name of client n.
    fn tell(&self, s: &Self::State, action: Self::Action, next: &Self::State) -> (Turn, String);

    /// What the server is called.
    const SERVER: &'static str = "The server";

    /// Whether another client takes the place of this one by the action.
    fn replaces(&self, s: &Self::State, action: Self::Action) -> Option<usize>;
}

/// A protocol, and the one claim that it breaks.
pub struct Hole<M> {
    /// Names the story, and its test.
    pub title: &'static str,
    /// What it teaches.
    pub moral: &'static str,
    /// The run; it has one claim.
    pub model: M,
}

/// The shortest trace into a hole.
pub struct Story {
    /// Markdown: a numbered line for each turn.
    pub text: String,
    /// States visited until it was found.
    pub states: usize,
}

impl<M: Told> Hole<M> {
    /// Searches until the claim is refuted; `None` if it never is.
    pub fn find(&self) -> Option<Story> {
        let properties: Vec<Property<M>> = self.model.properties();
        assert_eq!(properties.len(), 1, "the shortest trace is of one claim");
        let checker = self.model.clone().checker().spawn_bfs().join();
        let (_, path) = checker.discoveries().into_iter().next()?;
        let mut text = lines(&self.model, &path.into_actions());
        let _ = write!(text, "\n\n**Refuted:** {}.", properties[0].name);
        Some(Story { text, states: checker.unique_state_count() })
    }
}

/// The stories one after the other, as a page.
///
/// # Panics
///
/// If one is not found.
pub fn page(holes: Vec<Hole<impl Told>>) -> String {
    let mut text = String::from(crate::stories::HEADER);
    for hole in holes {
        let story = hole.find().unwrap_or_else(|| panic!("not found: {}", hole.title));
        println!("{}: after {} states", hole.title, story.states);
        let _ = write!(text, "\n### {}\n\n{}\n\n{}\n", hole.title, hole.moral, story.text);
    }
    text
}

fn lines<M: Told>(model: &M, actions: &[M::Action]) -> String {
    let mut names: Vec<String> = (1..=model.clients()).map(|number| format!("P{number}")).collect();
    let mut turns: Vec<(String, Vec<String>)> = Vec::new();
    let mut s = model.init_states()[0];
    for &action in actions {
        let next = model.next_state(&s, action).expect("a trace can be walked");
        let (turn, mut what) = model.tell(&s, action, &next);
        for (i, name) in names.iter().enumerate() {
            what = what.replace(&format!("{{{i}}}"), name);
        }
        let subject = match turn {
            Turn::Client(i) => names[i].clone(),
            Turn::Server => M::SERVER.into(),
            Turn::Tick => "—".into(),
        };
        match turns.last_mut() {
            Some((last, said)) if *last == subject => said.push(what),
            _ => turns.push((subject, vec![what])),
        }
        if let Some(i) = model.replaces(&s, action) {
            names[i].push('′');
        }
        s = next;
    }
    let mut lines = Vec::new();
    for (number, (subject, said)) in turns.into_iter().enumerate() {
        let what = match said.as_slice() {
            [tick] if tick.is_empty() => "1 tick passes".into(),
            [tick, ..] if tick.is_empty() => format!("{} ticks pass", said.len()),
            _ => said.join(", "),
        };
        lines.push(format!("{}. {subject} {what}.", number + 1));
    }
    lines.join("\n")
}
