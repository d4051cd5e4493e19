// Files of several named arrays of numbers: NPZ archives, and NPY files as archives of one. What the arrays mean is
// told by who reads them. HDF5 files come in by the room data/hdf5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ae::data {

struct ArrayInfo {
  std::string name;  // "rewards"; of arrays in groups "episode_0/rewards"
  std::vector<std::int64_t> shape;
  std::string type;     // as the format names it, with the bytes of an element: "<f4", "float4"
  bool numbers = true;  // real numbers or truth values, which can be read
};

std::int64_t element_bytes(const ArrayInfo& array);  // 8 where the type does not tell

// "rewards (30000,)"
std::string described(const ArrayInfo& array);

// The elements of one array in C order, as double, from the first to the last: at constant memory.
class ArrayStream {
 public:
  virtual ~ArrayStream() = default;
  // The next to.size() elements. InputError when the file is damaged or ends before them.
  virtual void read(std::span<double> to) = 0;
  // To be called after the last element: InputError when the file has more, or its checksum is wrong.
  virtual void finish() = 0;
};

// One whose elements come some at a time, and which notices their end itself.
class BufferedArrayStream : public ArrayStream {
 public:
  void read(std::span<double> to) final;
  void finish() override {}

 protected:
  // Puts the next elements into `buffer`, at least one: all of them are given before it is asked again. `wanted`: how
  // many more the reader waits for.
  virtual void fill(std::vector<double>& buffer, std::int64_t wanted) = 0;

 private:
  std::vector<double> buffer_;
  std::size_t given_ = 0;
};

class ArrayFile {
 public:
  virtual ~ArrayFile() = default;
  virtual const std::string& name() const = 0;               // the path
  virtual const std::vector<ArrayInfo>& arrays() const = 0;  // in the file's order
  // InputError for an array that cannot be streamed: no numbers, Fortran order. It may outlive the file.
  virtual std::unique_ptr<ArrayStream> open(const ArrayInfo& array) const = 0;
  const ArrayInfo* find(const std::string& array) const;  // null: there is none
};

// A record of an array, such as one observation, has no more elements than this.
constexpr std::int64_t kMostRecordElements = std::int64_t{1} << 24;

class RandomAccess;

// NPZ or NPY, told by the first bytes. Every array's size is compared with its bytes before anything is read.
// InputError for anything else, with what it looks like.
std::unique_ptr<ArrayFile> open_numpy_arrays(std::shared_ptr<RandomAccess> file);

// The number of elements of a shape, 0 where a dimension is 0; -1 when they are more than 2^48 or a dimension is
// negative.
std::int64_t elements_of_shape(std::span<const std::int64_t> shape);

}  // namespace ae::data
