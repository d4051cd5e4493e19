// Other programs, run without a shell, and folders for what they write.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/signals.hpp"

namespace ae {

// The program of this name in the folder of the running one, else on PATH. UsageError when there is none.
std::filesystem::path find_program(std::string_view name);

// Runs a program to its end, its standard input on /dev/null, its standard output in the new file `output`. A stop
// signal to us is passed on, a second one kills the program where a CleanUpFirst lets it, and Interrupted is thrown
// when the program has ended. Where it fails: an Error with the last
// line it wrote to standard error, of its exit code if that is usage (2) or bad_input (4), else `failed`; `what` says
// whose work it was.
void run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                 const std::string& what, const std::filesystem::path& output = "/dev/null");

// A new folder that only this user can read; gone with all that is in it when its owner is, also after several stop
// signals.
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
};

}  // namespace ae
