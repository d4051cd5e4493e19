// The kinds of the toy programs: those of the others, and one line more.
#include <array>

#include "recipe/makers.hpp"
#include "toy.hpp"

namespace ae::recipe {

std::span<const config::Entry<KindOptions>> kinds() {
  static const std::array kKinds{kTableKind, kImageKind, kCountsKind, kArrayKind, toy::kWordKind};
  return kKinds;
}

}  // namespace ae::recipe
