// Package compile turns the descriptors of the API, with their comments, and the
// files of HTTP routes into one OpenAPI 3.0 document.
//
// The document says what the node does and nothing else: names of fields as the
// gateway prints them, 64-bit integers as strings, bytes as base64 together with
// their readable forms (package readable), durations and moments as text, enum
// values by name, fields that only answers have as read-only, and the statuses
// that the node answers. What a route is for is told in the words of the comments
// in the .proto files. A new method with a route needs nothing here.
//
// It is pure: descriptors and files go in, the document comes out, and the same
// input gives the same bytes. protoc-gen-openapi runs it.
package compile
