"""``easycall doctor``: is a user's Asterisk as easycall needs it?

:mod:`easycall.doctor.questions` asks, :mod:`easycall.doctor.judgement` judges what was answered.  Nothing is changed and
nobody is called; what cannot be seen without more rights than the daemon has is said to be unseen.
"""
