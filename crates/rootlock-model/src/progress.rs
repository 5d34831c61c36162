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

use stateright::Model;

use crate::protocol::{Action, Lock, Step};
use crate::state::{Guard, MOST, Phase, State};

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

/// Searches every state that `lock` can reach. Symmetry must be off: fairness is about individuals.
pub fn search(lock: &Lock) -> Progress {
    assert!(!lock.0.symmetry, "fairness is about individuals");
    let Graph { states, edges } = Graph::of(lock);
    let component = components(&edges);
    let mut progress = Progress { states: states.len(), ..Progress::default() };
    let mut members = vec![Vec::new(); states.len()];
    for (state, &component) in component.iter().enumerate() {
        if is_open(&states[state]) {
            progress.open += 1;
            progress.dead_ends += usize::from(edges[state].stuck);
            members[component].push(state);
        }
    }
    for ring in members.iter().filter(|ring| !ring.is_empty()) {
        let within = |from: usize, to: usize| component[from] == component[to];
        let moves = |i: Option<usize>| {
            ring.iter().any(|&from| {
                edges[from].out.iter().any(|&(by, to)| within(from, to) && (i.is_none() || by == i))
            })
        };
        if !moves(None) {
            continue;
        }
        progress.rings += 1;
        let fair = |i: usize| moves(Some(i)) || ring.iter().any(|&s| !edges[s].able[i]);
        let wanted = |i: usize| {
            ring.iter().any(|&s| states[s].processes[i].phase != Phase::Idle && edges[s].able[i])
        };
        let mut all = 0..lock.0.processes;
        if all.clone().all(fair) && all.any(wanted) {
            progress.livelocks += 1;
        }
    }
    progress
}

/// Whether the graph includes this state.
fn is_open(s: &State) -> bool {
    s.processes.iter().all(|p| !p.is_holder() || p.guard == Guard::None)
}

/// All reachable states, and what can happen in the open ones.
struct Graph {
    states: Vec<State>,
    edges: Vec<Edges>,
}

impl Graph {
    fn of(lock: &Lock) -> Self {
        let mut states = lock.init_states();
        let mut index: HashMap<State, usize> =
            states.iter().enumerate().map(|(i, s)| (*s, i)).collect();
        let mut edges = Vec::new();
        while let Some(&s) = states.get(edges.len()) {
            let mut find = |s| {
                *index.entry(s).or_insert_with(|| {
                    states.push(s);
                    states.len() - 1
                })
            };
            edges.push(Edges::of(lock, &s, edges.len(), &mut find));
        }
        for edges in &mut edges {
            edges.out.retain(|&(_, to)| is_open(&states[to]));
        }
        Self { states, edges }
    }
}

/// What can happen in an open state when nothing more goes wrong.
struct Edges {
    /// Who moves (nobody if time passes), and to which state.
    out: Vec<(Option<usize>, usize)>,
    /// Who wants something and can take a step, wherever it leads.
    able: [bool; MOST],
    /// Not even time can pass.
    stuck: bool,
}

impl Edges {
    /// `find` numbers a state, whether or not the graph includes it.
    fn of(lock: &Lock, s: &State, number: usize, find: &mut impl FnMut(State) -> usize) -> Self {
        use Step::*;
        let mut edges = Self { out: Vec::new(), able: [false; MOST], stuck: true };
        let open = is_open(s);
        let urgent = |i: usize| !s.processes[i].is_holder() && lock.is_urgent(s, i);
        let may_tick = !(0..lock.0.processes).any(urgent);
        // A tick that changes nothing any more is no step for the checker, but time passes.
        let mut later = number;
        for (action, next) in lock.next_steps(s) {
            let to = find(next);
            let (i, step) = match action {
                Action::Of(i, step) => (usize::from(i), step),
                Action::Tick => {
                    later = to;
                    continue;
                }
                Action::Sleep | Action::ForeignUnlink | Action::RemoveGuard => continue,
            };
            let stops = matches!(step, Crash | GiveUp | UnlockKernel | StopHeartbeat);
            if !open || s.processes[i].is_holder() || stops {
                continue;
            }
            // Nobody has to want the lock.
            edges.able[i] |= s.processes[i].phase != Phase::Idle;
            edges.stuck = false;
            // A grant is the desired outcome.
            if !next.processes[i].is_holder() {
                edges.out.push((Some(i), to));
            }
        }
        if open && may_tick {
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
