// Package limit bounds what the queues of a node have running and start, over all
// partitions of the node.
//
// A queue may have a concurrency, which is how many of its tasks run at a time, and
// a rate, which is a token bucket: it holds up to burst tokens, a task that starts
// takes one, and they come back at the rate (a "leaky bucket as a meter", as in
// ITU-T I.371). A partition takes permits before it hands tasks out and gives them
// back as they end. Where there are none the partition stands in the queue's line,
// first come first; a permit that comes free is held for the first one, who is woken
// through Config.Wake and takes it, or declines. So nobody polls, partitions take
// turns, and one whose tasks have no worker passes its turn on.
//
// A node has a share of a queue's limits, which Shares tells: today a node has all.
//
// Invariants, for each queue:
//   - what is out and what is held together never exceed the concurrency, except
//     after that was lowered, or was set while more was running: then nothing new
//     starts until enough has ended;
//   - in any span of time no more tasks start, without those whose tokens were given
//     back unused, than the burst and what the rate adds in that span;
//   - a partition stands in line only while there is no permit;
//   - a timer runs only while somebody stands in line for lack of tokens.
//
// Concurrency: all methods of Limiter may be called concurrently. One mutex guards
// everything; Config.Wake is called without it.
package limit
