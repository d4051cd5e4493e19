// Bytes as gzip and ZIP archives hold them, by zlib alone.
#pragma once

#include <zlib.h>

#include <string>

namespace ae::test {

// window_bits: -MAX_WBITS for a bare deflate stream, MAX_WBITS + 16 for a gzip file.
inline std::string deflated(const std::string& bytes, int window_bits) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string gzip(const std::string& bytes) { return deflated(bytes, MAX_WBITS + 16); }

}  // namespace ae::test
