// Package openapi carries the OpenAPI document of the HTTP API, which `make
// generate` writes from the .proto files and the files of routes in api.
package openapi
