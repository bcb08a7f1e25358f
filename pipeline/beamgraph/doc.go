// Package beamgraph builds the pipeline's stages as a Beam graph, for Dataflow, Flink and Prism. The stages
// themselves are plain functions of packages pipeline, refreshpolicy and trends; here are only the DoFns that
// carry them. The pieces take and return PCollections:
//
//	Read ─ messages ─ Admit ─┬─ packs by key ──── Decide ─ outcomes ─ Publish
//	                         ├─ plays by market ─ Trend ── outcomes ─ Publish
//	                         └─ dead letters ───────────── outcomes ─ Publish
//
// Admit decodes, records with the songs-played service and packs: one element a key and bundle, because every
// element of the stateful stage costs round trips to the runner's state. Decide is the refresh policy with one state
// cell and one event-time timer a key. A key is a listener or, on Prism, a bucket of listeners (Config.Buckets).
//
// # Nothing accepted is lost
//
// Prism keeps its state in memory, and what a bundle has committed is gone after a crash. So a message's receipt
// (a log position, a Pub/Sub lease) travels with its event through the state cell, and Publish acknowledges it
// only after the bus has the triggers that serve the event. What a crash takes is read again. Bundle finalization
// would be the obvious hook, but the Go SDK replaces the finalizers that DoFns hold.
//
// # Choices that measurements forced
//
// What the stages of a job know of one another in one process they use (type nearby): how much is in flight, which
// Prism does not bound; what lies in the state, which is written but need not be read back; and up to when a key has
// all of its events, so that a timer fires all that is due and not each moment in a bundle of its own. Elsewhere the
// graph does without.
//
// The source never waits inside a bundle: it takes what is there and resumes after 50 ms (Options.Pause), because
// Prism polls while a bundle is open. Decide hands its outcomes on in FinishBundle, as one element, and Publish
// publishes in ProcessElement: a ParDo flushes its timers before the next one's FinishBundle, and from then on
// Prism spins until the bundle answers. No Reshuffle or GroupByKey stands between the source and Publish. Run on
// Prism with Experiments: splitting loses elements of stateful stages.
//
// Windows of trends are fixed panes first, then sliding sums of panes: a sliding window of an hour by the minute
// would copy every play sixty times.
package beamgraph
