package throttle

import "unsafe"

// RecordSizes are bytes per record with its name: prefix, pair, account.
func RecordSizes() [3]uintptr {
	return [3]uintptr{unsafe.Sizeof(record[counter]{}), unsafe.Sizeof(record[pair]{}), unsafe.Sizeof(record[guard]{})}
}
