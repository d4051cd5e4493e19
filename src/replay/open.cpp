#include "replay/open.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.hpp"
#include "data/bytes/source.hpp"
#include "data/hdf5/arrays.hpp"
#include "replay/store.hpp"

namespace ae::replay {

namespace fs = std::filesystem;

namespace {

class Completed final : public data::ArrayFile {
 public:
  Completed(std::shared_ptr<const data::ArrayFile> file, std::shared_ptr<const data::ArrayFile> other,
            const std::vector<data::ArrayInfo>& further)
      : file_(std::move(file)), other_(std::move(other)), arrays_(file_->arrays()), own_(arrays_.size()) {
    arrays_.insert(arrays_.end(), further.begin(), further.end());
  }
  const std::string& name() const override { return file_->name(); }
  const std::vector<data::ArrayInfo>& arrays() const override { return arrays_; }
  std::unique_ptr<data::ArrayStream> open(const data::ArrayInfo& array) const override {
    const auto at = std::ranges::find(arrays_, array.name, &data::ArrayInfo::name) - arrays_.begin();
    return (static_cast<std::size_t>(at) < own_ ? file_ : other_)->open(array);
  }

 private:
  std::shared_ptr<const data::ArrayFile> file_, other_;
  std::vector<data::ArrayInfo> arrays_;
  std::size_t own_;
};

}  // namespace

std::shared_ptr<const data::ArrayFile> completed(std::shared_ptr<const data::ArrayFile> file,
                                                 std::shared_ptr<const data::ArrayFile> other,
                                                 const data::Transitions& like,
                                                 const data::TransitionOptions& options) {
  using Role = data::TransitionRole;
  const data::Transitions own(file, options, &like);
  std::vector<data::ArrayInfo> further;
  for (const auto& names : data::transition_names()) {
    if (names.role == Role::observations || names.role == Role::next_observations) continue;
    const auto* there = like.find(names.role);
    if (there == nullptr || own.find(names.role) != nullptr || file->find(there->name) != nullptr) continue;
    if (there->name.find('/') != std::string::npos) return file;
    further.push_back(*there);
  }
  return std::make_shared<Completed>(std::move(file), std::move(other), further);
}

std::shared_ptr<const data::ArrayFile> open_arrays(const fs::path& path) {
  std::error_code ignored;
  if (is_store(path)) return Store::open(path)->arrays();
  if (fs::is_directory(path, ignored)) {
    for (const auto& inside : {path / "main_data.hdf5", path / "data" / "main_data.hdf5"})
      if (fs::exists(inside, ignored)) return data::open_hdf5_arrays(inside);
    throw InputError(path.string() +
                     ": a folder without manifest.json or main_data.hdf5; expected a file of arrays (NPZ, "
                     "NPY, HDF5), or a folder that ae-replay pack or Minari wrote");
  }
  std::shared_ptr<data::RandomAccess> file = data::RandomAccess::open(path);
  constexpr std::string_view kHdf5 = "\x89HDF\r\n\x1a\n";
  std::array<char, 8> head{};
  if (file->size() >= head.size()) file->read_at(0, head.data(), head.size());
  if (std::string_view(head.data(), head.size()) == kHdf5) return data::open_hdf5_arrays(path);
  return data::open_numpy_arrays(std::move(file));
}

}  // namespace ae::replay
