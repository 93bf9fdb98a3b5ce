// Package readable gives the fields of bytes in the JSON of the API forms that a
// person can read and write.
//
// Protobuf's JSON writes bytes as base64. Beside a field payload of bytes, a
// request may have payload_json instead, any JSON document, or payload_text, a
// string; an answer has payload and, where the bytes are JSON or text, the one of
// both that fits. The bytes of a document are taken as they stand, without the
// white space between its parts: numbers keep all of their digits, and members
// their order.
//
// Everything works on documents and the descriptors of their messages; nothing is
// kept between calls, and functions may be called concurrently.
package readable
