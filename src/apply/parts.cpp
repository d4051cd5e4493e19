#include "apply/parts.hpp"

#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "base/files.hpp"

namespace ae::apply {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuccess = "_SUCCESS";

}  // namespace

Parts::Parts(const std::string& folder, const ScoreOptions& options, bool overwrite)
    : folder_(folder), world_(options.world) {
  const std::string started = world_.started();
  if (folder == "-") throw UsageError(started + "; name a folder for their parts with -o DIR");
  if (options.flag.fdr) {
    throw UsageError("--fdr needs all samples, and " + started + "; use --alpha, or start one process");
  }
  const auto& inputs = options.inputs;
  if (std::find(inputs.begin(), inputs.end(), "-") != inputs.end()) {
    throw UsageError("standard input (-) cannot be shared, and " + started + "; name a file");
  }
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw RunError(folder_.string() + ": cannot create the folder: " + error.message());
  for (const auto& name : names()) {
    if (name == kSuccess && !overwrite) {
      throw UsageError((folder_ / name).string() + ": exists; use --force to replace it or choose another folder");
    }
    if (name.starts_with("part-") && name > part(world_.size - 1)) {
      throw UsageError((folder_ / name).string() + ": belongs to a run of more processes; choose another folder");
    }
  }
  fs::remove(folder_ / kSuccess, error);
  if (overwrite) fs::remove(own(), error);
}

void Parts::finish() const {
  const auto present = names();
  for (int rank = 0; rank < world_.size; ++rank) {
    if (!present.contains(part(rank))) return;
  }
  write_file(folder_ / kSuccess, "");
}

std::string Parts::part(int rank) {
  char name[24];
  std::snprintf(name, sizeof name, "part-%05d.csv", rank);
  return name;
}

// By reading the folder, which asks a network's file server anew; asking for a file may not.
std::set<std::string> Parts::names() const {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    names.insert(at->path().filename().string());
  }
  if (error) throw RunError(folder_.string() + ": cannot read the folder: " + error.message());
  return names;
}

}  // namespace ae::apply
