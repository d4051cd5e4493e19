#include "replay/open.hpp"

#include <array>
#include <string_view>

#include "base/error.hpp"
#include "data/bytes/source.hpp"
#include "data/hdf5/arrays.hpp"
#include "replay/store.hpp"

namespace ae::replay {

namespace fs = std::filesystem;

std::shared_ptr<const data::ArrayFile> open_arrays(const fs::path& path) {
  std::error_code ignored;
  if (is_store(path)) return Store::open(path)->arrays();
  if (fs::is_directory(path, ignored)) {
    for (const auto& inside : {path / "main_data.hdf5", path / "data" / "main_data.hdf5"})
      if (fs::exists(inside, ignored)) return data::open_hdf5_arrays(inside);
    throw InputError(path.string() + ": a folder without manifest.json or main_data.hdf5; expected a file of arrays (NPZ, "
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
