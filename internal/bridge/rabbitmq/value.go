package rabbitmq

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// errNotText refuses a header.
var errNotText = errors.New("the value is not UTF-8 text, which a header of a task must be")

// textOf is the value of a header as text: numbers in decimal, times in RFC 3339,
// tables and lists as JSON, nothing as "".
func textOf(value any) (string, error) {
	switch v := plain(value).(type) {
	case nil:
		return "", nil
	case string:
		if !utf8.ValidString(v) {
			return "", errNotText
		}
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("write the value as JSON: %w", err)
		}
		return string(text), nil
	}
}

// plain reduces a value of the protocol to what JSON knows.
func plain(value any) any {
	switch v := value.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case amqp.Decimal:
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(v.Scale)), nil)
		return new(big.Rat).SetFrac(big.NewInt(int64(v.Value)), scale).FloatString(int(v.Scale))
	case amqp.Table:
		members := make(map[string]any, len(v))
		for name, value := range v {
			members[name] = plain(value)
		}
		return members
	case []any:
		items := make([]any, len(v))
		for i := range v {
			items[i] = plain(v[i])
		}
		return items
	case float32:
		return float64(v)
	case int:
		return int64(v)
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	default:
		return value
	}
}
