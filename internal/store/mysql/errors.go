package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/fenfa/fenfa/internal/store"
)

// Errors of the start, for those who explain them to a person.
var (
	// ErrLogin says that the server refused user and password.
	ErrLogin = errors.New("the server refused the login")
	// ErrNoDatabase says that there is no such database, or that the user may not use
	// it.
	ErrNoDatabase = errors.New("there is no such database, or this user may not use it")
	// ErrNewerSchema says that a newer version of fenfa made the tables.
	ErrNewerSchema = errors.New("the tables were made by a newer version of fenfa")
	// ErrReadOnly says that the server takes no changes.
	ErrReadOnly = errors.New("the server takes no changes: it is read-only")
	// ErrShards says that the databases are not those that the cluster was made with.
	ErrShards = errors.New("these are not the shards of this cluster")
)

// errAway says that nobody answers.
var errAway = errors.New("the server is away")

// IsAway reports whether an error says that a server did not answer in time.
func IsAway(err error) bool { return kindOf(err) == kindAway }

// kind is what an error asks for.
type kind int

const (
	kindOther    kind = iota // the statement is at fault: trying again does not help
	kindConflict             // another transaction was in the way: try the whole one again
	kindAway                 // the server or the connection is gone: wait and try again
)

// kindOf says what to do about an error.
func kindOf(err error) kind {
	if _, lost := errors.AsType[*lostError](err); lost {
		return kindOther
	}
	e, ok := errors.AsType[*mysql.MySQLError](err)
	switch {
	case errors.Is(err, errRace), errors.Is(err, errUnprepared):
		return kindConflict
	case ok && slices.Contains(conflictNumbers(), e.Number):
		return kindConflict
	case ok && (slices.Contains(awayNumbers(), e.Number) || slices.Contains(readOnlyNumbers(), e.Number)):
		return kindAway
	case ok:
		return kindOther
	case errors.Is(err, errAway), errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrBusyBuffer),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return kindAway
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return kindAway
	}
	return kindOther
}

// conflictNumbers are a deadlock, a lock that was waited for too long, a row that
// changed meanwhile, and what TiDB says of the same.
func conflictNumbers() []uint16 { return []uint16{1213, 1205, 1020, 9007, 8002, 8022, 8028} }

// awayNumbers are servers that stop, start, have no connection left, or were told
// to end the connection.
func awayNumbers() []uint16 {
	return []uint16{1040, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1317, 1927, 3032, 3169, 4031, 9001, 9002, 9003, 9005}
}

func readOnlyNumbers() []uint16 { return []uint16{1290, 1792, 1836} }

// diskNumbers are a disk or a table without room.
func diskNumbers() []uint16 { return []uint16{1021, 1114, 3019, 3675} }

// outOfSpace is the number of ENOSPC, which servers put into their texts.
const outOfSpace = "28"

// translate gives the errors that the port or the start knows their names.
func translate(err error) error {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return err
	}
	switch {
	case slices.Contains(diskNumbers(), e.Number), isSpaceError(e):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case slices.Contains(readOnlyNumbers(), e.Number):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case e.Number == 1045 || e.Number == 1698 || e.Number == 1251 || e.Number == 4151:
		return fmt.Errorf("%w: %w", ErrLogin, err)
	case e.Number == 1049 || e.Number == 1044:
		return fmt.Errorf("%w: %w", ErrNoDatabase, err)
	}
	return err
}

// isSpaceError reports whether an error of a file or of the engine came from a
// disk without room.
func isSpaceError(e *mysql.MySQLError) bool {
	switch e.Number {
	case 3, 1026, 1030, 1041:
		return strings.Contains(e.Message, outOfSpace) || strings.Contains(e.Message, "No space left")
	}
	return false
}

// unknownError is the error of a COMMIT: the transaction happened, or it did not.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return "the outcome is not known: " + e.err.Error() }

func (e *unknownError) Unwrap() error { return e.err }

// isDuplicate reports whether a row with that key is there already.
func isDuplicate(err error) bool {
	const number = 1062
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && e.Number == number
}
