// Package certs keeps the certificate of a listener, and the authorities of its
// clients, as they are in files, and reads them again when the files change.
//
// Invariants:
//
//   - A connection is served with one certificate, key and set of authorities that
//     were read together and fit each other.
//   - Files that cannot be used, a certificate whose key is not there yet among them,
//     leave what was read before in force. Each such state is logged once, counted, and
//     tried again at every look.
//   - Connections that are open stay as they are.
//
// Concurrency: a Keeper may be used by many goroutines. Its timer looks at the files;
// Close waits for a look that is under way.
package certs
