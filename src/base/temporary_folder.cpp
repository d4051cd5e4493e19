#include "base/temporary_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/scratch_folder.hpp"

namespace ae {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAnyLetters = "XXXXXX";  // for mkdtemp()

// The process's number is there for people who look; and it tells these folders from those of versions without locks.
std::string pattern_of(const std::string& prefix) {
  return prefix + std::to_string(::getpid()) + "." + std::string(kAnyLetters);
}

bool is_like_pattern(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  const auto dot = name.find('.');
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_letter = [&](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c); };
  return dot != 0 && dot != std::string_view::npos && std::ranges::all_of(name.substr(0, dot), is_digit) &&
         name.size() - dot - 1 == kAnyLetters.size() && std::ranges::all_of(name.substr(dot + 1), is_letter);
}

// Only what is a folder itself, ours, and locked by nobody.
void remove_if_abandoned(const fs::path& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return;
  struct stat status = {};
  if (::fstat(folder, &status) == 0 && status.st_uid == ::geteuid() && ::flock(folder, LOCK_EX | LOCK_NB) == 0) {
    std::error_code ignored;
    fs::remove_all(path, ignored);  // removes links, and does not follow them
  }
  ::close(folder);
}

void remove_abandoned(const fs::path& scratch, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(scratch, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (is_like_pattern(entry->path().filename().string(), prefix)) found.push_back(entry->path());
  }
  for (const auto& path : found) remove_if_abandoned(path);
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& prefix) {
  const auto scratch = scratch_folder();
  remove_abandoned(scratch, prefix);
  const auto reason = [] { return std::generic_category().message(errno); };
  // Again when another process has taken the folder for an abandoned one before it was locked.
  for (;;) {
    std::string name = (scratch / pattern_of(prefix)).string();
    if (::mkdtemp(name.data()) == nullptr) throw RunError(name + ": cannot make a folder: " + reason());
    // Open in the programs that we start too: while one of them lives, the folder is in use.
    lock_ = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (lock_ < 0 && errno != ENOENT) {
      const auto why = reason();
      ::rmdir(name.c_str());
      throw RunError(name + ": cannot open a folder: " + why);
    }
    // Where the file system knows no locks, nobody else gets one either.
    const bool others = lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (lock_ >= 0 && !others && ::access(name.c_str(), F_OK) == 0) {
      path_ = name;
      return;
    }
    if (lock_ >= 0) ::close(lock_);
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  ::close(lock_);
}

}  // namespace ae
