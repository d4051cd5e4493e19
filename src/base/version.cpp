#include "base/version.hpp"

namespace ae {

std::string version() { return AETOOLS_VERSION; }
std::string git_hash() { return AETOOLS_GIT_HASH; }

}  // namespace ae
