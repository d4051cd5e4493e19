// HDF5 files, as far as matrices of counts need them: trusted no further than anything else that is read.
//
// - Sizes are checked before memory is taken: a dataset holds no more than what its chunks, which must all be there,
// can
//   have been compressed from.
// - Filters are checked beforehand, for every chunk: some readers take a chunk that they cannot decompress for empty.
// - Links to other files, virtual datasets and data in external files are refused: one file is what was given.
// Everything that is wrong is an InputError "FILE: "PLACE" ...". Not thread-safe, as Debian's library is not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ae::data {

class Hdf5Dataset {
 public:
  enum class Type { text, integer, number, boolean, other };
  Hdf5Dataset(Hdf5Dataset&&) noexcept;
  ~Hdf5Dataset();
  Type type() const;
  const std::vector<std::int64_t>& shape() const;
  std::int64_t size() const { return shape().empty() ? 1 : shape().front(); }  // of the first dimension
  // The elements from `first` on, as many as `to` holds; of one dimension. Numbers are converted.
  void read(std::int64_t first, std::span<std::int64_t> to) const;
  void read(std::int64_t first, std::span<float> to) const;
  void read(std::int64_t first, std::span<double> to) const;
  // Whole rows of two dimensions from `first` on; `to` holds a multiple of a row.
  void read_rows(std::int64_t first, std::span<float> to) const;
  // Whole records, along the first of any number of dimensions.
  void read_records(std::int64_t first, std::span<double> to) const;
  std::int64_t element_bytes() const;
  std::int64_t rows_of_a_chunk() const;  // 1 when it has none
  std::vector<std::int64_t> integers() const;
  std::vector<double> numbers() const;
  std::vector<std::string> texts() const;
  [[noreturn]] void fail(const std::string& what) const;  // "FILE: "PLACE" " and this

 private:
  friend class Hdf5File;
  struct State;
  explicit Hdf5Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Hdf5File {
 public:
  enum class Node { none, group, dataset };
  explicit Hdf5File(const std::filesystem::path& path);
  ~Hdf5File();
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;

  const std::string& name() const { return name_; }
  // Places are "obs/label", from the root.
  Node node(const std::string& place) const;
  bool has(const std::string& place) const { return node(place) != Node::none; }
  std::vector<std::string> members(const std::string& group) const;  // in alphabetical order
  // "" and {} when there is no such attribute, or it is of another type.
  std::string text_attribute(const std::string& place, const char* attribute) const;
  std::vector<std::string> texts_attribute(const std::string& place, const char* attribute) const;
  std::vector<std::int64_t> integer_attribute(const std::string& place, const char* attribute) const;
  Hdf5Dataset dataset(const std::string& place) const;  // of at least one dimension; an error when there is none
  [[noreturn]] void fail(const std::string& place, const std::string& what) const;

 private:
  std::string name_;
  std::int64_t id_ = -1;
};

}  // namespace ae::data
