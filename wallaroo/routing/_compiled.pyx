# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Owners of keys, and keys of payloads, compiled.

`routes` and `key_splitter` use this if the package was built with a C compiler, and do the same in
Python if not; both are held to the same tests. Only common cases are here. For all others the
Python code is called, record by record, so a rare case is slow but never different.

The hash is xxh3 from xxHash's own header (`xxhash.h`, BSD 2-Clause, unchanged), with the seeds of
`hashing.hash_key`. It is part of the format of checkpoints: a property test compares the two.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_FromLongLong
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy

cdef extern from *:
    """
    #define XXH_INLINE_ALL
    #include "xxhash.h"
    """
    uint64_t XXH3_64bits(const void *data, size_t length) noexcept nogil
    uint64_t XXH3_64bits_withSeed(const void *data, size_t length, uint64_t seed) noexcept nogil

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *length) except NULL

cdef enum:
    BYTES_SEED = 1
    INT_SEED = 2

cdef enum KeyType:
    TEXT
    BYTES
    INTEGER

cdef enum Rule:
    SLICE
    FIELD
    JSON

cdef inline uint64_t hash_integer(int64_t number) noexcept nogil:
    """Return the hash of a number of at most eight bytes."""
    cdef unsigned char data[8]
    cdef uint64_t bits = <uint64_t> number
    cdef int index
    for index in range(8):
        data[7 - index] = <unsigned char> (bits & 255)
        bits >>= 8
    return XXH3_64bits_withSeed(data, 8, INT_SEED)


cdef class Owners:
    """Key to what its owner's partition has in ``targets``; the compiled part of ``Routes``.

    ``find`` answers for text, bytes and integers that the state hashes, and keeps the first answers
    in ``known``; ``slow`` answers for all other keys, declared ones among them.
    """

    cdef list targets
    cdef uint64_t hashed_count
    cdef dict declared, known
    cdef Py_ssize_t known_max
    cdef object slow

    def __init__(
        self, list targets, Py_ssize_t hashed_count, dict declared, dict known,
        Py_ssize_t known_max, slow,
    ):
        """``targets`` has an entry for each hashed partition, ``declared`` one for each such key."""
        assert len(targets) >= hashed_count
        self.known = known
        self.known_max = known_max
        self.targets = targets
        self.hashed_count = <uint64_t> hashed_count
        self.declared = declared
        self.slow = slow

    cpdef find(self, key):
        """Return the target of a canonical key."""
        cdef uint64_t hash
        if self.hashed_count == 0 or (self.declared and key in self.declared):
            return self.slow(key)
        if not self._hash(key, &hash):
            return self.slow(key)
        target = self.targets[<Py_ssize_t> (hash % self.hashed_count)]
        if len(self.known) < self.known_max:
            self.known[key] = target
        return target

    cdef bint _hash(self, key, uint64_t *hash) except? 0:
        cdef Py_ssize_t length
        cdef const char *text
        cdef int overflow
        cdef long long number
        if type(key) is str:
            try:
                text = PyUnicode_AsUTF8AndSize(key, &length)
            except UnicodeEncodeError:
                return False  # half a surrogate pair
            hash[0] = XXH3_64bits(text, length)
            return True
        if type(key) is int:
            number = PyLong_AsLongLongAndOverflow(key, &overflow)
            hash[0] = hash_integer(number)
            return overflow == 0
        if type(key) is bytes:
            hash[0] = XXH3_64bits_withSeed(
                PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), BYTES_SEED
            )
            return True
        return False


cdef struct Slot:
    uint64_t hash
    const char *data
    Py_ssize_t length
    KeyType type
    PyObject *key
    PyObject *target


cdef class Splitter:
    """Cuts the keys out of payloads and parts the payloads by the owners of the keys.

    Frequent keys are found, by their bytes, in a table of ``slot_count`` slots (a power of two) that
    is filled to the half at most, so nothing is decoded or hashed twice for them. ``slow`` is called
    with payload, keys and payloads for everything that is not plain.
    """

    cdef Rule rule
    cdef KeyType key_type
    cdef Py_ssize_t offset, length
    cdef bytes mark
    cdef Owners owners
    cdef object slow
    cdef Slot *slots
    cdef uint64_t mask
    cdef Py_ssize_t free_count

    def __cinit__(
        self, str rule, Py_ssize_t offset, Py_ssize_t length, bytes mark, bint is_bytes,
        Owners owners, slow, Py_ssize_t slot_count=16384,
    ):
        """``mark`` is the separator of fields, or the name in JSON."""
        self.rule = {"slice": SLICE, "field": FIELD, "json": JSON}[rule]
        self.key_type = BYTES if is_bytes else TEXT
        self.offset = offset
        self.length = length
        self.mark = mark
        self.owners = owners
        self.slow = slow
        self.slots = <Slot *> calloc(slot_count, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.mask = <uint64_t> slot_count - 1
        self.free_count = slot_count // 2

    def __dealloc__(self):
        cdef uint64_t index
        if self.slots == NULL:
            return
        for index in range(self.mask + 1):
            if self.slots[index].key != NULL:
                free(<void *> self.slots[index].data)
                Py_DECREF(<object> self.slots[index].key)
                Py_DECREF(<object> self.slots[index].target)
        free(self.slots)

    def split(self, list payloads, list keys, list own):
        """Append keys and payloads to ``keys`` and ``own``, or both to the list of their owner."""
        cdef object payload, key, target
        cdef Slot found
        cdef const char *data
        cdef Py_ssize_t at, length
        cdef KeyType key_type
        for payload in payloads:
            if type(payload) is not bytes:
                self.slow(payload, keys, own)
                continue
            data = PyBytes_AS_STRING(payload)
            key_type = self.key_type
            at = self._find_key(data, PyBytes_GET_SIZE(payload), &length, &key_type)
            if at < 0 or not self._look_up(data + at, length, key_type, &found):
                self.slow(payload, keys, own)
                continue
            key = <object> found.key
            target = <object> found.target
            # The table holds both, or has given them to us.
            if found.data == NULL:
                Py_DECREF(key)
                Py_DECREF(target)
            if target is None:
                keys.append(key)
                own.append(payload)
            else:
                (<list> target).append(key)
                (<list> target).append(payload)

    cdef inline Py_ssize_t _find_key(
        self, const char *data, Py_ssize_t end, Py_ssize_t *length, KeyType *key_type
    ) noexcept:
        """Return where the key starts and set its length; -1 if that is not plain to see."""
        cdef const char *mark = PyBytes_AS_STRING(self.mark)
        cdef Py_ssize_t mark_length = PyBytes_GET_SIZE(self.mark)
        cdef Py_ssize_t start = 0, field, at
        if self.rule == SLICE:
            if end - self.offset < self.length:
                return -1
            length[0] = self.length
            return self.offset
        if self.rule == FIELD:
            for field in range(self.offset):
                at = find_mark(data, start, end, mark, mark_length)
                if at < 0:
                    return -1
                start = at + mark_length
            at = find_mark(data, start, end, mark, mark_length)
            length[0] = (end if at < 0 else at) - start
            return start
        return find_json(data, end, mark, mark_length, length, key_type)

    cdef bint _look_up(
        self, const char *data, Py_ssize_t length, KeyType key_type, Slot *found
    ) except? 0:
        """Set key and target of a key's bytes; return false if they are not plain.

        ``found.data`` is null if the table is full: then the caller owns the references.
        """
        cdef uint64_t hash = XXH3_64bits(data, length)
        cdef uint64_t at = (hash + key_type) & self.mask
        cdef Slot *slot
        while True:
            slot = &self.slots[at]
            if slot.key == NULL:
                break
            if (
                slot.hash == hash and slot.length == length and slot.type == key_type
                and memcmp(slot.data, data, length) == 0
            ):
                found[0] = slot[0]
                return True
            at = (at + 1) & self.mask
        return self._look_up_new(data, length, key_type, hash, slot, found)

    cdef bint _look_up_new(
        self, const char *data, Py_ssize_t length, KeyType key_type, uint64_t hash, Slot *slot,
        Slot *found,
    ) except? 0:
        cdef object key, target
        cdef char *copy
        try:
            if key_type == TEXT:
                key = PyUnicode_DecodeUTF8(data, length, NULL)
            elif key_type == BYTES:
                key = PyBytes_FromStringAndSize(data, length)
            else:
                key = PyLong_FromLongLong(parse_integer(data, length))
            target = self.owners.find(key)
        except Exception:
            return False  # what is wrong is said by the Python code
        Py_INCREF(key)
        Py_INCREF(target)
        found.key = <PyObject *> key
        found.target = <PyObject *> target
        found.data = NULL
        if self.free_count > 0:
            copy = <char *> malloc(length + 1)
            if copy == NULL:
                return True
            memcpy(copy, data, length)
            self.free_count -= 1
            slot.hash = hash
            slot.data = copy
            slot.length = length
            slot.type = key_type
            slot.key = found.key
            slot.target = found.target
            found.data = copy
        return True


cdef inline int64_t parse_integer(const char *data, Py_ssize_t length) noexcept nogil:
    """Return the number that up to 18 digits, with or without a minus, stand for."""
    cdef int64_t number = 0
    cdef Py_ssize_t at = 1 if data[0] == c"-" else 0
    cdef bint is_negative = at == 1
    while at < length:
        number = number * 10 + (data[at] - c"0")
        at += 1
    return -number if is_negative else number


cdef inline Py_ssize_t find_mark(
    const char *data, Py_ssize_t start, Py_ssize_t end, const char *mark, Py_ssize_t mark_length
) noexcept nogil:
    """Return where the mark stands next; -1 if it does not."""
    cdef const char *found
    while end - start >= mark_length:
        found = <const char *> memchr(data + start, mark[0], end - start - mark_length + 1)
        if found == NULL:
            return -1
        if mark_length == 1 or memcmp(found, mark, mark_length) == 0:
            return found - data
        start = found - data + 1
    return -1


cdef inline bint is_space(char byte) noexcept nogil:
    return byte == c" " or byte == c"\t" or byte == c"\n" or byte == c"\r"


cdef inline Py_ssize_t string_end(
    const char *data, Py_ssize_t at, Py_ssize_t end, bint *has_escapes
) noexcept nogil:
    """Return where the string ends whose first character is at ``at``; -1 if it does not end."""
    has_escapes[0] = False
    while at < end:
        if data[at] == c'"':
            return at
        if data[at] == c"\\":
            has_escapes[0] = True
            at += 1
        at += 1
    return -1


cdef Py_ssize_t find_json(
    const char *data, Py_ssize_t end, const char *name, Py_ssize_t name_length,
    Py_ssize_t *length, KeyType *key_type,
) noexcept nogil:
    """Return where the value of ``name`` starts in a JSON object; -1 if that is not plain to see.

    Goes by strings, brackets and colons alone, as the reference in ``payload_keys`` does.
    """
    cdef Py_ssize_t at = 0, start, stop
    cdef Py_ssize_t depth = 0
    cdef bint has_escapes
    while at < end and is_space(data[at]):
        at += 1
    if at == end or data[at] != c"{":
        return -1
    while at < end:
        if data[at] == c'"':
            start = at + 1
            stop = string_end(data, start, end, &has_escapes)
            if stop < 0:
                return -1
            at = stop + 1
            if depth != 1:
                continue
            while at < end and is_space(data[at]):
                at += 1
            if at == end or data[at] != c":":
                continue
            if has_escapes:
                return -1  # this may be the name, written in another way
            if stop - start != name_length or memcmp(data + start, name, name_length) != 0:
                continue
            at += 1
            while at < end and is_space(data[at]):
                at += 1
            return json_value(data, at, end, length, key_type)
        if data[at] == c"{" or data[at] == c"[":
            depth += 1
        elif data[at] == c"}" or data[at] == c"]":
            depth -= 1
            if depth == 0:
                return -1
        at += 1
    return -1


cdef inline Py_ssize_t json_value(
    const char *data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t *length, KeyType *key_type
) noexcept nogil:
    """Return where a string or a small integer starts; -1 for all others."""
    cdef Py_ssize_t stop
    cdef bint has_escapes
    if at == end:
        return -1
    if data[at] == c'"':
        stop = string_end(data, at + 1, end, &has_escapes)
        if stop < 0 or has_escapes:
            return -1
        length[0] = stop - at - 1
        key_type[0] = TEXT
        return at + 1
    stop = at + 1 if data[at] == c"-" else at
    if stop < end and stop == at and data[stop] == c"0":
        stop += 1  # nothing may follow
    elif stop == end or data[stop] < c"1" or data[stop] > c"9":
        return -1
    else:
        while stop < end and c"0" <= data[stop] <= c"9":
            stop += 1
    if stop == end or stop - at > 18:
        return -1
    if data[stop] != c"," and data[stop] != c"}" and not is_space(data[stop]):
        return -1
    length[0] = stop - at
    key_type[0] = INTEGER
    return at
