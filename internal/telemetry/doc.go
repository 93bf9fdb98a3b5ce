// Package telemetry sets up what a node tells of itself: its log, its registry
// of metrics and its version. It keeps nothing global; whoever builds a node hands
// the logger and the registry on.
package telemetry
