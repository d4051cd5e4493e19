#include "replay/open.hpp"

#include <algorithm>

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
  return is_store(path) ? Store::open(path)->arrays() : data::open_arrays(path);
}

std::vector<fs::path> files_of_arrays(const fs::path& path) {
  return is_store(path) ? files_of_store(path) : std::vector{data::file_of_arrays(path)};
}

}  // namespace ae::replay
