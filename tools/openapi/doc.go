// Package openapi holds the tests that put public tools to the OpenAPI document of
// the HTTP API: a validator, and a generator of clients whose client works against
// a real node, with every answer judged by the document.
//
// tools/openapi.sh generates the client into the folder client, which is not kept,
// and runs the tests.
package openapi
