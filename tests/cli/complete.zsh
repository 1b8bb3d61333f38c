# SPDX-License-Identifier: Apache-2.0
# Prints what an interactive zsh makes of a line when Tab is pressed: zsh -f complete.zsh FOLDER_OF__mixgrad LINE
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= PS2= RPS1=; unsetopt zle_bracketed_paste; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w shell 'show() { print -r -- "<$BUFFER>"; exit }; zle -N show; bindkey "^I" complete-word; bindkey "^X" show; print re""ady'
until [[ $line = *ready* ]]; do zpty -r shell line || exit 1; done
zpty -w -n shell "$2"$'\t\x18'
while zpty -r shell line; do
  [[ $line = *'<'*'>'* ]] && print -r -- "${${line#*<}%>*}" && exit
done
exit 1
