package memproto

import "strconv"

// Append appends the whole reply to dst as it goes on the wire: the line and, for
// StatusVA and StatusValue, the data block Value. A meta reply lists its flags in a
// fixed order; AppendLine lets a node follow the order of the request.
func (r *Response) Append(dst []byte) []byte {
	if r.Status != StatusVA && r.Status != StatusValue {
		return r.AppendLine(dst, nil)
	}
	saved := r.BodyLen
	r.BodyLen = len(r.Value)
	dst = r.AppendLine(dst, nil)
	r.BodyLen = saved
	dst = append(dst, r.Value...)
	return append(dst, '\r', '\n')
}

// fixedOrder is the order of a meta reply's flags when no request gave one.
var fixedOrder = []byte("s v f t c l h k O")

// AppendLine appends the reply line alone, its CRLF included. StatusVA and
// StatusValue announce BodyLen bytes, which have to follow with a CRLF. order is the
// Meta of the request that is answered, nil for a fixed order: a meta reply lists
// its flags in the order they were asked for, then Z, X and W.
func (r *Response) AppendLine(dst, order []byte) []byte {
	switch r.Status {
	case StatusVA:
		dst = strconv.AppendInt(append(dst, "VA "...), int64(r.BodyLen), 10)
		dst = r.appendFlags(dst, order)
	case StatusHD, StatusEN, StatusNF, StatusNS, StatusEX:
		dst = append(dst, statusWords[r.Status]...)
		dst = r.appendFlags(dst, order)
	case StatusME:
		dst = append(append(dst, "ME "...), r.Key...)
		dst = append(append(dst, ' '), r.Message...)
	case StatusValue:
		dst = append(append(dst, "VALUE "...), r.Key...)
		dst = appendUint(dst, uint64(r.ClientFlags))
		dst = appendInt(dst, int64(r.BodyLen))
		if r.HasCAS {
			dst = appendUint(dst, r.CAS)
		}
	case StatusNumber:
		dst = strconv.AppendUint(dst, r.Number, 10)
	case StatusStat:
		dst = append(append(dst, "STAT "...), r.Key...)
		dst = append(append(dst, ' '), r.Message...)
	default:
		dst = append(dst, r.Status.String()...)
		if len(r.Message) > 0 {
			dst = append(append(dst, ' '), r.Message...)
		}
	}
	return append(dst, '\r', '\n')
}

func (r *Response) appendFlags(dst, order []byte) []byte {
	if r.Flags == 0 {
		return dst
	}
	if order == nil {
		order = fixedOrder
	}
	for i := 0; i < len(order); {
		if order[i] == ' ' {
			i++
			continue
		}
		letter := order[i]
		for i++; i < len(order) && order[i] != ' '; i++ {
		}
		if r.Flags&Flag(letter) != 0 {
			dst = r.appendFlag(dst, letter)
		}
	}
	if r.Flags&(FlagZ|FlagX|FlagW) != 0 {
		for _, f := range [...]Flags{FlagZ, FlagX, FlagW} {
			if r.Flags&f != 0 {
				dst = append(dst, ' ', f.Letter())
			}
		}
	}
	return dst
}

func (r *Response) appendFlag(dst []byte, letter byte) []byte {
	switch letter {
	case 's':
		return strconv.AppendInt(append(dst, " s"...), r.Size, 10)
	case 'f':
		return strconv.AppendUint(append(dst, " f"...), uint64(r.ClientFlags), 10)
	case 't':
		return strconv.AppendInt(append(dst, " t"...), r.TTL, 10)
	case 'c':
		return strconv.AppendUint(append(dst, " c"...), r.CAS, 10)
	case 'l':
		return strconv.AppendInt(append(dst, " l"...), r.LastAccess, 10)
	case 'h':
		if r.Hit {
			return append(dst, " h1"...)
		}
		return append(dst, " h0"...)
	case 'k':
		dst = append(append(dst, " k"...), r.Key...)
		if r.Flags&FlagLb != 0 {
			dst = append(dst, " b"...) // b says that k is base64 and stands behind it
		}
		return dst
	case 'O':
		return append(append(dst, " O"...), r.Opaque...)
	}
	return dst
}
