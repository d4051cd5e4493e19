// Folders for what other programs write.
#pragma once

#include <filesystem>
#include <string>

#include "base/signals.hpp"

namespace ae {

// A new folder that only this user can read; gone with all that is in it when its owner is, also after several stop
// signals. What a killed process has left of such folders with this prefix is removed first: the process, and those
// that it has started, hold a lock on each until they end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& prefix);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  CleanUpFirst clean_up_first_;
  std::filesystem::path path_;
  int lock_ = -1;  // the open folder
};

}  // namespace ae
