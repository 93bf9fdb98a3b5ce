// Package orders is the input of the demo: lines of orders, read from a file or
// made from a seed.
//
// A line takes pieces of one SKU from stock, or as a cancellation puts them
// back. A file has the columns of the Online Retail data set (StockCode,
// Quantity and InvoiceNo are needed, others travel along). A line becomes the
// task that `fenfa submit --file F --key-column StockCode` makes of it, with
// the same ID and payload, so that both may submit the same file.
//
// Everything here is pure: the same input gives the same List.
package orders
