// Package chart draws bars and lines as SVG: small pictures for documents and for
// results of simulations, which read well on light and on dark backgrounds.
//
// It is written by hand because the charts are few and plain: a plotting library
// that also draws PNG adds nine megabytes of fonts and rasterizers to the binary,
// and none follows the reader's colour scheme.
//
// The same chart gives the same bytes. Charts are values without state; all
// functions may be called concurrently.
package chart
