#include "scoring.hpp"

#include "base/error.hpp"

namespace ae::apps {

void Scoring::refuse(std::string_view other_noun) const {
  for (const auto* option : declared_) {
    if (option->count() == 0) continue;
    throw UsageError(option->get_name() + " is for models of " + std::string(noun()) + ", and this is one of " +
                     std::string(other_noun) + "; leave it out");
  }
}

std::vector<std::unique_ptr<Scoring>> scorings() {
  std::vector<std::unique_ptr<Scoring>> all;
  all.push_back(make_image_scoring());
  all.push_back(make_sample_scoring());
  return all;
}

}  // namespace ae::apps
