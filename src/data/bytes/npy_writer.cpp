#include "data/bytes/npy_writer.hpp"

#include <bit>
#include <stdexcept>

#include "base/error.hpp"
#include "data/bytes/npy.hpp"

namespace ae::data {

// How many rows there are stands first and is known last; headers are as long for any number of them.
NpyWriter::NpyWriter(Output& output, std::vector<std::int64_t> row_shape) : output_(output), shape_{0} {
  shape_.insert(shape_.end(), row_shape.begin(), row_shape.end());
  end_ = header_size_ = header().size();
  if (output.is_stdout())
    throw UsageError("an NPY file begins with the number of rows and cannot go to a pipe; name a file with -o");
}

NpyWriter::NpyWriter(Output& output, std::int64_t columns) : NpyWriter(output, std::vector{columns}) {}

void NpyWriter::add(std::span<const float> row) {
  for (const float value : row) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int byte = 0; byte < 4; ++byte) bytes_ += static_cast<char>(bits >> 8 * byte & 0xff);
  }
  ++shape_.front();
  constexpr std::size_t kBuffered = 1 << 20;
  if (bytes_.size() >= kBuffered) flush();
}

void NpyWriter::flush() {
  output_.write_at(end_, bytes_);
  end_ += bytes_.size();
  bytes_.clear();
}

void NpyWriter::finish() {
  flush();
  const auto text = header();
  if (text.size() != header_size_) throw std::logic_error("an NPY header grew");  // it has room for 50 more digits
  output_.write_at(0, text);
}

std::string NpyWriter::header() const { return npy_header(NpyFloat::f4, shape_); }

}  // namespace ae::data
