# td_embed_text(TARGET VARIABLE FILE): compiles FILE into TARGET as
# `extern const std::string_view VARIABLE` in namespace torchdeploy.
#
# The generated source is remade when FILE changes.
function(td_embed_text target variable file)
  cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${variable}.cc)
  add_custom_command(OUTPUT ${source}
    COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/embed_text.py
      ${variable} ${file} ${source}
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/embed_text.py VERBATIM)
  target_sources(${target} PRIVATE ${source})
endfunction()
