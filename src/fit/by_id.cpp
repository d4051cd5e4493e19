#include "fit/by_id.hpp"

namespace ae::fit {

ScoresById::ScoresById(const std::filesystem::path& path, const std::string& column, Reporter& reporter) {
  evaluate::ScoreReader scores(path, reporter);
  scores_.name = scores.name();
  const std::size_t id = scores.require("id", "ids", "a header \"id\", as ae-score writes it");
  const std::size_t score = scores.require(column, "scores", "--score-column");
  while (scores.next()) scores_.add(scores, id, scores.score(score));
}

double ScoresById::of(const std::string& id, const std::string& table) {
  const double* score = scores_.find(id);
  if (score == nullptr)
    throw InputError(scores_.name + ": no score for the id " + ae::quoted(id) + " of " + table +
                     "; score the same rows");
  return *score;
}

}  // namespace ae::fit
