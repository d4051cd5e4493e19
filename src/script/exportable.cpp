#include "script/exportable.hpp"

#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "recipe/table_kind.hpp"

namespace ae::script {
namespace {

[[noreturn]] void refuse(const recipe::Checkpoint& checkpoint, const std::string& why) {
  throw UsageError(checkpoint.name() + ": " + why);
}

void check_terms(const recipe::Checkpoint& checkpoint) {
  const auto& terms = checkpoint.config().loss.terms;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    if (terms[t]->grain() == loss::Grain::sample || terms[t]->training_only() || !terms[t]->script().loss.empty())
      continue;
    std::vector<std::string> possible;
    for (const auto& entry : loss::terms())
      if (!entry.make()->script().loss.empty()) possible.emplace_back(entry.name);
    refuse(checkpoint, "/loss/terms/" + std::to_string(t) + ": " + ae::quoted(terms[t].type()) +
                           " cannot be exported; train with " + ae::join(possible, " or "));
  }
}

}  // namespace

Exportable exportable(const recipe::Checkpoint& checkpoint, bool scored) {
  const auto* table = checkpoint.kind().as<recipe::TableKind>();
  if (table == nullptr) {
    refuse(checkpoint, "was trained on " + std::string(checkpoint.kind().domain().noun()) +
                           "; only models of tables can be exported");
  }
  if (!checkpoint.autoencoder().has_network()) {
    refuse(checkpoint,
           "holds no network (/model/type \"none\") that could be exported; train a model with one, for "
           "example --set /model/type=dense");
  }
  auto network = plain_network(checkpoint.autoencoder().network());
  if (!network) {
    refuse(checkpoint, "/model/type: " + ae::quoted(checkpoint.config().model.type()) +
                           " cannot be exported; fully connected networks of tables and \"factors\" can");
  }
  check_terms(checkpoint);
  if (const auto head = checkpoint.config().score.type(); scored && head != "loss") {
    refuse(checkpoint, "/score/type: scores of the head " + ae::quoted(head) +
                           " cannot be exported, only those of \"loss\"; give --no-score for codes and reconstructions "
                           "alone, or train with --set /score/type=loss");
  }
  Exportable model{checkpoint, {}, std::move(*network), scored};
  for (const auto index : table->schema().features()) model.columns.push_back(&table->schema().columns[index]);
  return model;
}

}  // namespace ae::script
