// Panels of figures, one below another: tables, pictures and facts. All texts are plain ones, any bytes.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ae::report {

std::string table_panel(std::string_view heading, const std::vector<std::string>& columns,
                        const std::vector<std::vector<std::string>>& rows);
std::string picture_panel(std::string_view heading, std::string_view description, std::string_view svg);
std::string facts_panel(std::string_view heading, const std::vector<std::pair<std::string, std::string>>& facts);

// A page of such panels, joined.
std::string panels_page(std::string_view title, std::string_view description, const std::string& panels);

}  // namespace ae::report
