package task

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Fingerprint is a 64-bit hash of what the submitter said, taken from the stored
// form: two submits under one ID with different fingerprints are different tasks.
// Headers that carry the context of a trace do not count: each submit has its own,
// and a repeated one is the same task all the same.
func Fingerprint(stored []byte) uint64 {
	content := stored[contentAt:]
	if content[0]&hasHeaders == 0 {
		return xxhash.Sum64(content)
	}
	r := NewParser(content[1:])
	for range 4 { // Queue, key, type and payload.
		r.Bytes()
	}
	headers := len(content) - len(r.rest)
	n := r.Uvarint()
	counted := uint64(0)
	for i := uint64(0); i < n && !r.failed; i++ {
		if !traces(r.Bytes()) {
			counted++
		}
		r.Bytes()
	}
	if r.failed || counted == n {
		return xxhash.Sum64(content)
	}
	return withoutTrace(content, headers, n, counted)
}

// withoutTrace hashes what the content would be without the headers of a trace.
func withoutTrace(content []byte, headers int, n, counted uint64) uint64 {
	var d xxhash.Digest
	d.Reset()
	flags := content[0]
	if counted == 0 {
		flags &^= hasHeaders
	}
	// Writing to a digest never fails.
	_, _ = d.Write([]byte{flags})
	_, _ = d.Write(content[1:headers])
	if counted > 0 {
		_, _ = d.Write(binary.AppendUvarint(nil, counted))
	}
	r := NewParser(content[headers:])
	r.Uvarint()
	for range n {
		before := r.rest
		traced := traces(r.Bytes())
		r.Bytes()
		if !traced {
			_, _ = d.Write(before[:len(before)-len(r.rest)])
		}
	}
	_, _ = d.Write(r.rest)
	return d.Sum64()
}

// traces reports whether a header carries the context of a trace, as W3C Trace Context
// and W3C Baggage name them.
func traces(name []byte) bool {
	switch string(name) {
	case "traceparent", "tracestate", "baggage":
		return true
	default:
		return false
	}
}
