// Package spell suggests the known name that is nearest to a mistyped one, so
// that an error can say what was probably meant. It is pure and keeps no state.
package spell
