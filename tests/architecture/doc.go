// Package architecture holds the tests that keep the tree in the shape that
// ARCHITECTURE.md describes: imports point one way, each outside library stays
// behind the package that is there for it, files and functions stay short, and
// every package says what it is for.
//
// Linting holds most of these rules too, file by file while one writes. Here
// they are read off the whole import graph, so nothing that is excluded from
// linting, and no package that nobody thought of, escapes them.
package architecture
