//! No livelock: contenders do not keep each other from the lock for ever.
//!
//! Every state that the protocol can reach, with all faults, is a place from which on nothing more
//! goes wrong: nobody freezes, wakes, crashes, gives up or gives back. From there a livelock would
//! be an endless run without a grant in which nobody is starved of *steps*: whoever can take one
//! at every moment takes one in the end (weak fairness). In a finite graph such a run ends up
//! going round in one strongly connected component, so it is enough to look at each of these.
//!
//! Not a livelock, and therefore left out of the graph: states in which a running holder keeps the
//! lock, and states in which a process is frozen inside the guard.

use std::collections::{HashMap, HashSet};

use stateright::Model;

use crate::protocol::{Action, Lock, Step};
use crate::state::{Guard, MOST, Phase, State};

/// What was searched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Reachable states.
    pub states: usize,
    /// Those without a running holder and without a process frozen inside the guard.
    pub open: usize,
    /// Strongly connected components of these that a run can go round in.
    pub rings: usize,
    /// Those of them that are livelocks.
    pub livelocks: usize,
    /// Open states from which nothing can happen.
    pub dead_ends: usize,
}

/// Searches all that `lock` can get into. Symmetry must be off: fairness is about individuals.
pub fn search(lock: &Lock) -> Progress {
    assert!(!lock.0.symmetry, "fairness is about individuals");
    let states = reachable(lock);
    let open: Vec<State> = states.iter().filter(|s| is_open(s)).copied().collect();
    let index: HashMap<State, usize> = open.iter().enumerate().map(|(i, s)| (*s, i)).collect();
    let edges: Vec<Edges> = open.iter().map(|s| Edges::of(lock, s, &index)).collect();
    let mut progress = Progress { states: states.len(), open: open.len(), ..Progress::default() };
    progress.dead_ends = edges.iter().filter(|edges| edges.stuck).count();
    let component = components(&edges);
    let mut members = vec![Vec::new(); open.len()];
    for (state, &component) in component.iter().enumerate() {
        members[component].push(state);
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
            ring.iter().any(|&s| open[s].processes[i].phase != Phase::Idle && edges[s].able[i])
        };
        let mut all = 0..lock.0.processes;
        if all.clone().all(fair) && all.any(wanted) {
            progress.livelocks += 1;
        }
    }
    progress
}

fn reachable(lock: &Lock) -> HashSet<State> {
    let mut seen = HashSet::new();
    let mut todo = lock.init_states();
    while let Some(s) = todo.pop() {
        if seen.insert(s) {
            todo.extend(lock.next_states(&s));
        }
    }
    seen
}

fn is_open(s: &State) -> bool {
    s.processes.iter().all(|p| if p.frozen { p.guard == Guard::None } else { !p.is_holder() })
}

/// What can happen in an open state when nothing more goes wrong.
struct Edges {
    /// Who moves (nobody: time passes), and where to, if that is open too.
    out: Vec<(Option<usize>, usize)>,
    /// Who wants something and can take a step, wherever it leads.
    able: [bool; MOST],
    /// Not even time can pass.
    stuck: bool,
}

impl Edges {
    fn of(lock: &Lock, s: &State, index: &HashMap<State, usize>) -> Self {
        use Step::*;
        let mut edges = Self { out: Vec::new(), able: [false; MOST], stuck: true };
        for (action, next) in lock.next_steps(s) {
            let by = match action {
                Action::Of(_, Freeze | Wake | Crash | GiveUp | UnlockKernel | StopHeartbeat) => {
                    continue;
                }
                Action::Of(i, _) => Some(usize::from(i)),
                Action::Tick => None,
                Action::Sleep | Action::ForeignUnlink => continue,
            };
            if let Some(i) = by {
                // Nobody has to want the lock.
                edges.able[i] |= s.processes[i].phase != Phase::Idle;
            }
            edges.stuck = false;
            edges.out.extend(index.get(&next).map(|&to| (by, to)));
        }
        // A tick that changes nothing any more is no step for the checker, but time passes.
        if lock.may_tick(s) {
            edges.stuck = false;
            edges.out.push((None, index[s]));
        }
        edges
    }
}

/// Tarjan's algorithm, without recursion: for each node a number that it shares with its strongly
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
