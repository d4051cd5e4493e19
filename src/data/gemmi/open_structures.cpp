#include "data/gemmi/open_structures.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/gemmi/molecules.hpp"

namespace ae::data {
namespace {

class Molecules final : public Structures {
 public:
  explicit Molecules(std::vector<geometry::Backbone> backbones) : backbones_(std::move(backbones)) {}
  bool next(geometry::Backbone& backbone) override {
    if (given_ == backbones_.size()) return false;
    backbone = std::move(backbones_[given_++]);
    return true;
  }
  bool of_one_molecule() const override { return true; }

 private:
  std::vector<geometry::Backbone> backbones_;
  std::size_t given_ = 0;
};

// They are read in places, more than once. `head`: of what was read of it, decompressed.
std::unique_ptr<Structures> open_arrays(const std::string& path, const std::string& name, std::string_view head) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path == "-" ? "/dev/stdin" : path, ignored))
    throw InputError(name + ": found arrays in a pipe; expected a file; write them to one and give its name");
  const std::shared_ptr<RandomAccess> file = RandomAccess::open(path);
  std::array<char, 2> begin{};
  file->read_at(0, begin.data(), std::min<std::uint64_t>(begin.size(), file->size()));
  if (!head.starts_with(std::string_view(begin.data(), begin.size())))
    throw InputError(name + ": found compressed arrays; expected NPY or NPZ; decompress the file first");
  return open_structure_arrays(open_numpy_arrays(file));
}

}  // namespace

std::unique_ptr<Structures> open_structures(const std::string& path, bool several, std::string& prefix,
                                            Reporter& reporter) {
  auto source = ByteSource::open(path);
  auto head = read_head(*source);
  const bool arrays = begins_npy(head) || head.starts_with("PK");
  prefix = arrays && !several ? "" : path + ":";
  if (arrays) return open_arrays(path, source->name(), head);
  if (head.starts_with("\xEF\xBB\xBF")) head.erase(0, 3);
  if (const auto* type = recognise(head); type != nullptr && !type->what.ends_with("structure file"))
    throw wrong_kind(source->name(), *type, "", "structures: NPY, NPZ, PDB or mmCIF");
  auto whole = with_prefix(head, std::move(source));
  return std::make_unique<Molecules>(read_molecules(std::move(whole), head, reporter));
}

}  // namespace ae::data
