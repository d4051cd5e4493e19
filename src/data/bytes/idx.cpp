#include "data/bytes/idx.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::uint64_t kMostBytes = 1ull << 36;

std::string type_name(std::uint8_t type) {
  switch (type) {
    case 0x09:
      return "signed bytes";
    case 0x0B:
      return "16-bit numbers";
    case 0x0C:
      return "32-bit numbers";
    case 0x0D:
    case 0x0E:
      return "floating-point numbers";
    default:
      return "an unknown type";
  }
}

}  // namespace

bool is_idx(std::string_view start) {
  return start.size() >= 4 && start[0] == 0 && start[1] == 0 && start[2] >= kUnsignedByte && start[2] <= 0x0E &&
         start[3] >= 1 && start[3] <= 4;
}

namespace {

std::uint64_t elements_of(const std::vector<std::int64_t>& shape) {
  std::uint64_t count = 1;
  for (const auto size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

InputError too_short(const std::string& name, std::uint64_t expected, std::uint64_t found) {
  return InputError(name + ": the file ends too early: its header promises " + std::to_string(expected) +
                    " elements, it holds " + std::to_string(found) + "; copy or download it again");
}

InputError too_long(const std::string& name, std::uint64_t expected) {
  return InputError(name + ": bytes behind the " + std::to_string(expected) + " elements its header promises");
}

std::vector<std::int64_t> read_shape(ByteSource& source) {
  const std::string& name = source.name();
  std::array<char, 4> start{};
  const std::size_t got = read_fully(source, start.data(), start.size());
  if (got < start.size() || !is_idx({start.data(), start.size()})) {
    throw InputError(name + ": not an IDX file of 1 to 4 dimensions: it begins with " +
                     ae::quoted({start.data(), got}) + ", expected two zero bytes, a type and a number of dimensions");
  }
  if (const auto type = static_cast<std::uint8_t>(start[2]); type != kUnsignedByte) {
    throw InputError(name + ": IDX elements are " + type_name(type) + ", expected unsigned bytes, as MNIST has");
  }
  std::vector<std::int64_t> shape;
  std::uint64_t expected = 1;
  for (char d = 0; d < start[3]; ++d) {
    std::array<unsigned char, 4> big{};
    if (read_fully(source, reinterpret_cast<char*>(big.data()), 4) != 4) {
      throw InputError(name + ": the file ends inside its header; copy or download it again");
    }
    const std::uint64_t size = std::uint64_t{big[0]} << 24 | big[1] << 16 | big[2] << 8 | big[3];
    shape.push_back(static_cast<std::int64_t>(size));
    if (size == 0) throw InputError(name + ": one of its dimensions is 0; expected at least one element");
    if (expected > kMostBytes / size) throw InputError(name + ": claims an impossible number of elements");
    expected *= size;
  }
  return shape;
}

}  // namespace

IdxLayout find_idx(const std::shared_ptr<RandomAccess>& file) {
  const auto source = from_the_beginning(file);
  IdxLayout layout;
  layout.shape = read_shape(*source);
  layout.offset = source->position();
  const std::uint64_t expected = elements_of(layout.shape), found = file->size() - layout.offset;
  if (found < expected) throw too_short(file->name(), expected, found);
  if (found > expected) throw too_long(file->name(), expected);
  return layout;
}

IdxArray read_idx(ByteSource& source) {
  IdxArray array{read_shape(source), {}};
  const std::uint64_t expected = elements_of(array.shape);
  constexpr std::uint64_t kStep = 1 << 20;
  while (array.bytes.size() < expected) {
    const std::size_t filled = array.bytes.size();
    array.bytes.resize(static_cast<std::size_t>(std::min(expected, filled + std::max<std::uint64_t>(kStep, filled))));
    const std::size_t count =
        read_fully(source, reinterpret_cast<char*>(array.bytes.data()) + filled, array.bytes.size() - filled);
    if (filled + count < array.bytes.size()) throw too_short(source.name(), expected, filled + count);
  }
  char beyond = 0;
  if (source.read(&beyond, 1) != 0) throw too_long(source.name(), expected);
  return array;
}

}  // namespace ae::data
