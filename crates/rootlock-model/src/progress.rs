//! No livelock: contenders do not keep each other from the lock forever.
//!
//! Every state that the protocol can reach, with all faults, is taken as a starting point after
//! which nothing more goes wrong: the present holders of the lock are frozen for good, and nobody
//! else freezes, crashes, gives up or releases. A livelock would then be an endless run without a
//! grant in which nobody is starved of *steps*: whoever can take one at every moment takes one in
//! the end (weak fairness). In a finite graph such a run ends up in one strongly connected
//! component, so it is enough to look at each of these.
//!
//! Two cases are not livelocks, and are left out of the graph: a running holder that keeps the
//! lock, and one that is frozen inside the guard.

use std::collections::HashMap;
use std::hash::Hash;

use stateright::Model;

use crate::protocol::{Action, Lock, Step};
use crate::state::{Guard, Phase, State};

/// What the search has to know of a model.
pub trait Contest: Model<State: Copy + Eq + Hash> {
    /// How many there are whom fairness is about, two dozen at most.
    fn actors(&self) -> usize;

    /// Whether somebody wants the lock, and may have it in time.
    fn is_wanted(&self, s: &Self::State) -> bool;

    /// Whether the graph has this state.
    fn is_open(&self, s: &Self::State) -> bool;

    /// Whether time may pass, now that nothing goes wrong any more.
    fn may_tick(&self, s: &Self::State) -> bool;

    /// What an action means, and with it the state that it leads to.
    fn kind(&self, s: &Self::State, action: Self::Action, next: &Self::State) -> Move;
}

/// What an action is for the search.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Move {
    /// It is among what goes wrong, or ends a wish or a grant: it leads to places to start from.
    Past,
    /// Time passes.
    Tick,
    /// A step of an actor.
    Step {
        /// Who takes it.
        actor: usize,
        /// Whether the actor has to, if it can at every moment; nobody has to want the lock.
        must: bool,
        /// It is a grant: what there shall be.
        grants: bool,
    },
}

/// The results of the search.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Reachable states.
    pub states: usize,
    /// Those in which no holder is inside the guard.
    pub open: usize,
    /// Their strongly connected components in which a run can go round.
    pub rings: usize,
    /// Those components that are livelocks.
    pub livelocks: usize,
    /// Open states from which nothing can happen.
    pub dead_ends: usize,
}

/// Searches all that `model` can get into. Symmetry must be off: fairness is about individuals.
pub fn search(model: &impl Contest) -> Progress {
    let Graph { states, edges } = Graph::of(model);
    let component = components(&edges);
    let mut progress = Progress { states: states.len(), ..Progress::default() };
    let mut members = vec![Vec::new(); states.len()];
    for (state, &component) in component.iter().enumerate() {
        if model.is_open(&states[state]) {
            progress.open += 1;
            progress.dead_ends += usize::from(edges[state].stuck);
            members[component].push(state);
        }
    }
    for ring in members.iter().filter(|ring| !ring.is_empty()) {
        let within = |from: usize, to: usize| component[from] == component[to];
        let moves = |actor: Option<usize>| {
            ring.iter().any(|&from| {
                let mut out = edges[from].out.iter();
                out.any(|&(by, to)| within(from, to) && (actor.is_none() || by == actor))
            })
        };
        if !moves(None) {
            continue;
        }
        progress.rings += 1;
        let fair = |i: usize| moves(Some(i)) || ring.iter().any(|&s| edges[s].able & (1 << i) == 0);
        let wanted = ring.iter().any(|&s| model.is_wanted(&states[s]));
        if wanted && (0..model.actors()).all(fair) {
            progress.livelocks += 1;
        }
    }
    progress
}

impl Contest for Lock {
    fn actors(&self) -> usize {
        assert!(!self.0.symmetry, "fairness is about individuals");
        self.0.processes
    }

    fn is_wanted(&self, s: &State) -> bool {
        s.processes.iter().any(|p| p.phase != Phase::Idle && !p.is_holder())
    }

    fn is_open(&self, s: &State) -> bool {
        s.processes.iter().all(|p| !p.is_holder() || p.guard == Guard::None)
    }

    fn may_tick(&self, s: &State) -> bool {
        !(0..self.0.processes).any(|i| !s.processes[i].is_holder() && self.is_urgent(s, i))
    }

    fn kind(&self, s: &State, action: Action, next: &State) -> Move {
        use Step::*;
        match action {
            Action::Tick => Move::Tick,
            Action::Sleep | Action::ForeignUnlink | Action::RemoveGuard => Move::Past,
            Action::Of(i, step) => {
                let actor = usize::from(i);
                let p = &s.processes[actor];
                let stops = matches!(step, Crash | GiveUp | UnlockKernel | StopHeartbeat);
                if p.is_holder() || stops {
                    Move::Past
                } else {
                    let grants = next.processes[actor].is_holder();
                    Move::Step { actor, must: p.phase != Phase::Idle, grants }
                }
            }
        }
    }
}

/// All reachable states, and what can happen in those that are open.
struct Graph<S> {
    states: Vec<S>,
    edges: Vec<Edges>,
}

impl<S: Copy + Eq + Hash> Graph<S> {
    fn of(model: &impl Contest<State = S>) -> Self {
        let mut states = model.init_states();
        let mut index: HashMap<S, usize> =
            states.iter().enumerate().map(|(i, s)| (*s, i)).collect();
        let mut edges = Vec::new();
        while let Some(&s) = states.get(edges.len()) {
            let mut find = |s| {
                *index.entry(s).or_insert_with(|| {
                    states.push(s);
                    states.len() - 1
                })
            };
            edges.push(Edges::of(model, &s, edges.len(), &mut find));
        }
        for edges in &mut edges {
            edges.out.retain(|&(_, to)| model.is_open(&states[to]));
        }
        Self { states, edges }
    }
}

/// What can happen in an open state when nothing more goes wrong.
struct Edges {
    /// Who moves (nobody if time passes), and to which state.
    out: Vec<(Option<usize>, usize)>,
    /// Who can take a step that it has to, wherever it leads: a bit each.
    able: u32,
    /// Not even time can pass.
    stuck: bool,
}

impl Edges {
    /// `find` numbers a state, whether or not the graph has it.
    fn of<C: Contest>(
        model: &C,
        s: &C::State,
        number: usize,
        find: &mut impl FnMut(C::State) -> usize,
    ) -> Self {
        let mut edges = Self { out: Vec::new(), able: 0, stuck: true };
        let open = model.is_open(s);
        // A tick that changes nothing any more is no step for the checker, but time passes.
        let mut later = number;
        for (action, next) in model.next_steps(s) {
            let kind = model.kind(s, action, &next);
            let to = find(next);
            match kind {
                Move::Past => {}
                Move::Tick => later = to,
                Move::Step { actor, must, grants } if open => {
                    edges.able |= u32::from(must) << actor;
                    edges.stuck = false;
                    if !grants {
                        edges.out.push((Some(actor), to));
                    }
                }
                Move::Step { .. } => {}
            }
        }
        if open && model.may_tick(s) {
            edges.stuck = false;
            edges.out.push((None, later));
        }
        edges
    }
}

/// Tarjan's algorithm, without recursion: returns for each node a number shared by its strongly
/// connected component.
fn components(edges: &[Edges]) -> Vec<usize> {
    const NEW: usize = usize::MAX;
    let mut order = vec![NEW; edges.len()];
    let mut low = vec![NEW; edges.len()];
    let mut component = vec![NEW; edges.len()];
    let mut stack = Vec::new();
    let (mut visited, mut found) = (0, 0);
    for root in 0..edges.len() {
        if order[root] != NEW {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some(&(node, edge)) = path.last() {
            if order[node] == NEW {
                order[node] = visited;
                low[node] = visited;
                visited += 1;
                stack.push(node);
            }
            if let Some(&(_, to)) = edges[node].out.get(edge) {
                path.last_mut().expect("just seen").1 += 1;
                if order[to] == NEW {
                    path.push((to, 0));
                } else if component[to] == NEW {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                loop {
                    let member = stack.pop().expect("holds the component");
                    component[member] = found;
                    if member == node {
                        break;
                    }
                }
                found += 1;
            }
        }
    }
    component
}
