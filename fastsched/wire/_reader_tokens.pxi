# The tokens of msgpack: where the reader stands, why it refused, and the numbers and lengths that it meets.
#
# Each reads what begins at `Reader.at` and leaves `at` behind it. False or -1 is a refusal.

# The first byte of a value in msgpack; the ranges between are lengths and small numbers.
cdef enum:
    FIXED_MAP = 0x80
    FIXED_ARRAY = 0x90
    FIXED_TEXT = 0xA0
    NIL = 0xC0
    FALSE = 0xC2
    TRUE = 0xC3
    RAW_8 = 0xC4
    EXTENSION_8 = 0xC7
    FLOAT_32 = 0xCA
    FLOAT_64 = 0xCB
    UNSIGNED_8 = 0xCC
    UNSIGNED_16 = 0xCD
    UNSIGNED_32 = 0xCE
    UNSIGNED_64 = 0xCF
    SIGNED_8 = 0xD0
    SIGNED_16 = 0xD1
    SIGNED_32 = 0xD2
    SIGNED_64 = 0xD3
    TEXT_8 = 0xD9
    ARRAY_16 = 0xDC
    MAP_16 = 0xDE
    NEGATIVE = 0xE0

ctypedef struct Reader:
    const unsigned char *at
    const unsigned char *end
    Limits limits
    PyObject *buffers       # a tuple, borrowed
    Py_ssize_t count        # of buffers
    Py_ssize_t attached     # buffers that were named so far
    Py_ssize_t owed         # elements of plain data that were claimed and are not yet read
    bint tracked            # something was made, since this was last set, that the garbage collector must look at
    const char *failure


cdef inline PyObject *refuse(Reader *reader, const char *why) noexcept:
    reader.failure = why
    return NULL


cdef inline bint big_endian(Reader *reader, int width, uint64_t *number) noexcept:
    """The number in the `width` bytes behind the first."""
    cdef int index
    cdef uint64_t result = 0
    if reader.end - reader.at <= width:
        refuse(reader, "less than there should be")
        return False
    for index in range(1, width + 1):
        result = result << 8 | reader.at[index]
    reader.at += 1 + width
    number[0] = result
    return True


cdef inline bint integer(Reader *reader, int64_t *number) noexcept:
    """An integer that 64 bits with a sign can hold."""
    cdef unsigned char first
    cdef uint64_t bits
    if reader.at >= reader.end:
        refuse(reader, "less than there should be")
        return False
    first = reader.at[0]
    if first < FIXED_MAP or first >= NEGATIVE:
        reader.at += 1
        number[0] = <int8_t> first
        return True
    if first < UNSIGNED_8 or first > SIGNED_64:
        refuse(reader, "no integer")
        return False
    if not big_endian(reader, 1 << (first & 3), &bits):
        return False
    if first == SIGNED_8:
        number[0] = <int8_t> bits
    elif first == SIGNED_16:
        number[0] = <int16_t> bits
    elif first == SIGNED_32:
        number[0] = <int32_t> bits
    else:
        number[0] = <int64_t> bits
        if first == UNSIGNED_64 and bits > <uint64_t> INT64_MAX:
            refuse(reader, "an integer of more than 64 bits")
            return False
    return True


cdef inline Py_ssize_t checked(Reader *reader, uint64_t length) noexcept:
    """The length of what must follow whole."""
    if length > <uint64_t> (reader.end - reader.at):
        refuse(reader, "less than there should be")
        return -1
    return <Py_ssize_t> length


cdef inline Py_ssize_t text_length(Reader *reader) noexcept:
    cdef unsigned char first
    cdef uint64_t length
    if reader.at >= reader.end:
        refuse(reader, "less than there should be")
        return -1
    first = reader.at[0]
    if FIXED_TEXT <= first < NIL:
        reader.at += 1
        return checked(reader, first & 31)
    if not TEXT_8 <= first < ARRAY_16:
        refuse(reader, "no text")
        return -1
    return checked(reader, length) if big_endian(reader, 1 << (first - TEXT_8), &length) else -1


cdef inline Py_ssize_t raw_length(Reader *reader) noexcept:
    cdef unsigned char first = reader.at[0]
    cdef uint64_t length
    if not RAW_8 <= first < EXTENSION_8:
        refuse(reader, "no bytes")
        return -1
    return checked(reader, length) if big_endian(reader, 1 << (first - RAW_8), &length) else -1


cdef inline Py_ssize_t array_length(Reader *reader) noexcept:
    cdef unsigned char first
    cdef uint64_t count
    if reader.at >= reader.end:
        refuse(reader, "less than there should be")
        return -1
    first = reader.at[0]
    if FIXED_ARRAY <= first < FIXED_TEXT:
        reader.at += 1
        count = first & 15
    elif not ARRAY_16 <= first < MAP_16:
        refuse(reader, "no array")
        return -1
    elif not big_endian(reader, 2 << (first - ARRAY_16), &count):
        return -1
    if count > <uint64_t> reader.limits.array_items:
        refuse(reader, "an array that is too long")
        return -1
    return <Py_ssize_t> count


cdef inline Py_ssize_t map_length(Reader *reader) noexcept:
    cdef unsigned char first = reader.at[0]
    cdef uint64_t count
    if first < FIXED_ARRAY:
        reader.at += 1
        count = first & 15
    elif not big_endian(reader, 2 << (first - MAP_16), &count):
        return -1
    if count > <uint64_t> reader.limits.map_items:
        refuse(reader, "a map that is too long")
        return -1
    return <Py_ssize_t> count
