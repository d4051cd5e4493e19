#include "data/hdf5/arrays.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/source.hpp"
#include "data/hdf5/file.hpp"

namespace ae::data {
namespace {

constexpr std::int64_t kElementsAtOnce = 1 << 17, kMostElementsAtOnce = 1 << 26;

class DatasetStream final : public BufferedArrayStream {
 public:
  DatasetStream(std::shared_ptr<const Hdf5File> file, const std::string& place)
      : file_(std::move(file)), dataset_(file_->dataset(place)) {
    const auto& shape = dataset_.shape();
    record_ = elements_of_shape(std::span(shape).subspan(1));
    if (record_ > kMostElementsAtOnce)
      dataset_.fail("has records of " + std::to_string(record_) + " numbers; expected at most " +
                    std::to_string(kMostElementsAtOnce));
  }

 private:
  void fill(std::vector<double>& buffer, std::int64_t) override {
    const auto records = std::min(std::max<std::int64_t>(1, kElementsAtOnce / std::max<std::int64_t>(record_, 1)),
                                  dataset_.size() - next_);
    if (records <= 0 || record_ == 0) dataset_.fail("ends too early");
    buffer.resize(static_cast<std::size_t>(records * record_));
    dataset_.read_records(next_, buffer);
    next_ += records;
  }

  std::shared_ptr<const Hdf5File> file_;
  Hdf5Dataset dataset_;
  std::int64_t record_ = 1, next_ = 0;
};

std::string_view type_name(Hdf5Dataset::Type type) {
  switch (type) {
    case Hdf5Dataset::Type::integer:
      return "integer";
    case Hdf5Dataset::Type::number:
      return "float";
    case Hdf5Dataset::Type::boolean:
      return "boolean";
    case Hdf5Dataset::Type::text:
      return "text";
    case Hdf5Dataset::Type::other:
      break;
  }
  return "other";
}

class Hdf5Arrays final : public ArrayFile {
 public:
  explicit Hdf5Arrays(const std::filesystem::path& path) : file_(std::make_shared<const Hdf5File>(path)) {
    for (const auto& name : file_->members("/")) {
      const auto node = file_->node(name);
      if (node == Hdf5File::Node::dataset) add(name);
      if (node != Hdf5File::Node::group || !name.starts_with("episode_")) continue;
      throw_if_stopped("reading");
      for (const auto& member : file_->members(name)) {
        const auto place = name + "/" + member;
        if (file_->node(place) == Hdf5File::Node::dataset) add(place);
        if (file_->node(place) == Hdf5File::Node::group && member == "observations")
          file_->fail(place, "is a group, as of a dictionary of observations; expected one array; write one of them");
      }
    }
  }

  const std::string& name() const override { return file_->name(); }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::unique_ptr<ArrayStream> open(const ArrayInfo& array) const override {
    return std::make_unique<DatasetStream>(file_, array.name);
  }

 private:
  // Without looking into it: what cannot be read is told when it is wanted. Single values and texts are not arrays.
  void add(const std::string& place) {
    try {
      const auto dataset = file_->dataset(place);
      const auto type = dataset.type();
      if (elements_of_shape(dataset.shape()) < 0) dataset.fail("has more elements than can be read");
      arrays_.push_back({place, dataset.shape(), std::string(type_name(type)) + std::to_string(dataset.element_bytes()),
                         type != Hdf5Dataset::Type::text && type != Hdf5Dataset::Type::other});
    } catch (const InputError&) {
      for (const char* wanted : {"observations", "actions", "rewards", "terminations", "truncations", "terminals",
                                 "timeouts", "next_observations"})
        if (place == wanted || place.ends_with(std::string("/") + wanted)) throw;
    }
  }

  std::shared_ptr<const Hdf5File> file_;
  std::vector<ArrayInfo> arrays_;
};

}  // namespace

std::unique_ptr<ArrayFile> open_hdf5_arrays(const std::filesystem::path& path) {
  return std::make_unique<Hdf5Arrays>(path);
}

std::filesystem::path file_of_arrays(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  for (auto inside : {path / "main_data.hdf5", path / "data" / "main_data.hdf5"})
    if (std::filesystem::exists(inside, ignored)) return inside;
  if (std::filesystem::exists(path / "manifest.json", ignored))
    throw InputError(path.string() + ": a store of ae-replay pack; unpack it to a file of arrays first");
  throw InputError(path.string() +
                   ": a folder without main_data.hdf5; expected a file of arrays (NPZ, NPY, HDF5), or a folder that "
                   "Minari wrote");
}

std::shared_ptr<const ArrayFile> open_arrays(const std::filesystem::path& path) {
  const auto file_path = file_of_arrays(path);
  std::shared_ptr<RandomAccess> file = RandomAccess::open(file_path);
  constexpr std::string_view kHdf5 = "\x89HDF\r\n\x1a\n";
  std::array<char, 8> head{};
  if (file->size() >= head.size()) file->read_at(0, head.data(), head.size());
  if (std::string_view(head.data(), head.size()) == kHdf5) return open_hdf5_arrays(file_path);
  return open_numpy_arrays(std::move(file));
}

}  // namespace ae::data
