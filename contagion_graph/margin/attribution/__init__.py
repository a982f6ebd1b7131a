"""Attribution of losses: to the traders, assets, pools and rounds that caused them, and along chains."""
