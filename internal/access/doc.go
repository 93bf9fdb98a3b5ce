// Package access says who may do what: API tokens, their scopes and their limits.
//
// A token is an id and 256 random bits. The book keeps the id and a SHA-256 of the
// bits, never the bits. A slow hash would add nothing: it makes guessing of
// passwords dear, and nobody guesses 256 random bits; it would only make every call
// dear, and so the node easy to overload. The comparison takes constant time.
//
// Invariants:
//
//   - Tokens lie in the store's Meta, so that all nodes share them, and change by
//     compare and set. Each node reads them again every refresh interval; a change of
//     its own counts at once.
//   - The secret of a token is returned by Create and Rotate, and is nowhere else.
//     The root token is the content of a file, is not in the book, and may do
//     everything.
//   - A Session that was let in ends when its token is revoked or expires, or when the
//     grace period of the secret that it showed is over.
//   - What is not permitted by a scope is refused. Actions are a closed set.
//
// Concurrency: a Book may be used by many goroutines. Authenticate takes no lock:
// the tokens are an immutable map behind an atomic pointer. One goroutine, owned by
// the Book, refreshes it; Close waits for it.
package access
