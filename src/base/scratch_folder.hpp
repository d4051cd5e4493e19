// Where temporary files go.
#pragma once

#include <filesystem>
#include <system_error>

namespace ae {

// TMPDIR or what stands for it; /tmp where that is no folder.
inline std::filesystem::path scratch_folder() {
  std::error_code error;
  auto folder = std::filesystem::temp_directory_path(error);
  return error ? std::filesystem::path("/tmp") : folder;
}

}  // namespace ae
