// Package sagafile reads the definition of a saga from YAML, strictly: a key that
// is not known is an error that names its line and the nearest known one, and so is
// one that is there twice. It only reads: saga.Definition says what is valid.
//
// Everything is a pure function and safe for concurrent use.
package sagafile
