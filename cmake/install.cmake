# cmake --install: program, both libraries, headers, pkg-config file, manual page, completions, the
# embedded model. The last three and the .pc file are found relative to each other: the tree can move.
install(TARGETS atelier atelier_static atelier_shared)
install(DIRECTORY include/atelier DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE THIRD_PARTY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(EXISTS ${CMAKE_SOURCE_DIR}/models/emoji/model_index.json)
    install(DIRECTORY models/emoji models/tokenizers DESTINATION ${CMAKE_INSTALL_DATADIR}/atelier/models)
else()
    message(STATUS "models/emoji is not there: installed without a default model")
endif()
install(DIRECTORY tests/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/atelier FILES_MATCHING PATTERN "*.json")

# Where the .pc file is, the prefix is so many folders up.
file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" ATELIER_UP "${up}")
set(ATELIER_REQUIRES "libcjson, libpcre2-8, libutf8proc, libpng, zlib")
if(JPEG_FOUND)
    string(APPEND ATELIER_REQUIRES ", libjpeg")
endif()
if(WEBP_FOUND)
    string(APPEND ATELIER_REQUIRES ", libwebp, libwebpmux")
endif()
set(ATELIER_LIBS_PRIVATE "-lm ${OpenMP_C_FLAGS}")
if(FFMPEG_FOUND) # as shared libraries: what they would need when static is not installed with them
    string(APPEND ATELIER_LIBS_PRIVATE " -lavformat -lavcodec -lavutil -lswresample")
endif()
foreach(library IN LISTS CMAKE_DL_LIBS)
    string(APPEND ATELIER_LIBS_PRIVATE " -l${library}")
endforeach()
configure_file(cmake/atelier.pc.in atelier.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/atelier.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Written by the program itself, from the tables that it parses with.
if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR)
    set(written)
    function(write_by_program file folder)
        set(out ${CMAKE_BINARY_DIR}/${file})
        add_custom_command(OUTPUT ${out} COMMAND atelier ${ARGN} > ${out} DEPENDS atelier)
        install(FILES ${out} DESTINATION ${folder})
        set(written ${written} ${out} PARENT_SCOPE)
    endfunction()
    write_by_program(atelier.1 ${CMAKE_INSTALL_MANDIR}/man1 --man)
    write_by_program(completion/atelier ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        --completion bash)
    write_by_program(completion/_atelier ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
        --completion zsh)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/completion)
    add_custom_target(written ALL DEPENDS ${written})
endif()
